/**
 * The pool for all requests to targets: looks a host name up once per connection, vets every address of the answer, and
 * connects to those very addresses, so that a second answer (DNS rebinding) is never asked for.
 */
import { ADDRCONFIG, type LookupAddress } from "node:dns";
import { lookup as lookUpInSystem } from "node:dns/promises";
import { isIP, type LookupFunction } from "node:net";
import { createSecureContext, getCACertificates } from "node:tls";
import { Agent, buildConnector } from "undici";
import { AppError, toError } from "../domain/errors.ts";
import {
  ALLOW_SETTING,
  addressRefusal,
  isPortAllowed,
  type OutboundPolicy,
  type RefusalCode,
} from "./outboundPolicy.ts";

/** Covers look-up, connect and TLS, ms; the request's own deadline may come first. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Node leaves an address for the next one after 250 ms: too soon for a receiver on the other side of the world. */
const NEXT_ADDRESS_AFTER_MS = 1_000;

/** All addresses of a host name; rejects with the codes of node:dns. */
export type Lookup = (hostname: string) => Promise<readonly LookupAddress[]>;

/** How the pool connects. */
export interface GuardedAgentOptions {
  policy: OutboundPolicy;
  /** Connections per origin. */
  connections: number;
  /** PEM certificates of authorities to trust besides those that Node trusts. */
  ca?: string | null;
  connectTimeoutMs?: number;
  /** For tests; the system's resolver unless given, since it knows the hosts file and the container's names. */
  lookup?: Lookup;
}

/**
 * A connection that was not made. The message may be shown to anyone: it names neither the address nor its range, which
 * would tell an outsider about the network inside. `range` says what the address is, for the operator's log only.
 */
export class OutboundRefused extends AppError {
  declare readonly code: RefusalCode;
  readonly range: string | null;
  constructor(code: RefusalCode, message: string, range: string | null = null) {
    super(code, message);
    this.range = range;
  }
}

/** A pool of keep-alive connections; a request to where the policy forbids rejects with OutboundRefused. */
export function createGuardedAgent(options: GuardedAgentOptions): Agent {
  const { policy, connections, ca = null, connectTimeoutMs, lookup = lookUpAll } = options;
  const connect = buildConnector({
    lookup: vettedLookup(policy, lookup),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS,
    timeout: connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    // Once, not per connection: reading all authorities takes milliseconds.
    secureContext: createSecureContext(ca === null ? {} : { ca: [...getCACertificates("default"), ca] }),
  });
  return new Agent({
    connections,
    pipelining: 1,
    // The request's deadline is the only clock.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: (target, callback) => {
      const refusal = refusalBeforeLookup(policy, target);
      if (refusal === null) connect(target, callback);
      else process.nextTick(callback, refusal, null);
    },
  });
}

/** A port, or an address that stands in the URL: neither is ever looked up. */
function refusalBeforeLookup(policy: OutboundPolicy, target: buildConnector.Options): OutboundRefused | null {
  const port = Number(target.port || (target.protocol === "https:" ? 443 : 80));
  if (!isPortAllowed(policy, port)) {
    return new OutboundRefused("EGRET_PORT_FORBIDDEN", `port ${port} is not called; choose another port`);
  }
  return isIP(target.hostname) === 0 ? null : addressesRefused(policy, [target.hostname]);
}

/** One forbidden address spoils the whole answer: a name with two faces is an attack or a mistake. */
function addressesRefused(policy: OutboundPolicy, addresses: readonly string[]): OutboundRefused | null {
  for (const address of addresses) {
    const range = addressRefusal(policy, address);
    if (range !== null) {
      const message = `the host has an address that is not public (the operator can allow it with ${ALLOW_SETTING})`;
      return new OutboundRefused("EGRET_ADDRESS_FORBIDDEN", message, range);
    }
  }
  return null;
}

function lookUpAll(hostname: string): Promise<LookupAddress[]> {
  return lookUpInSystem(hostname, { all: true, hints: ADDRCONFIG, order: "verbatim" });
}

/** What node:net asks for the addresses to connect to; it asks once per connection and takes what it is given. */
function vettedLookup(policy: OutboundPolicy, lookup: Lookup): LookupFunction {
  // The system's resolver has few threads: a name that hangs takes one, not one per connection that waits for it.
  const underWay = new Map<string, Promise<readonly LookupAddress[]>>();
  const share = (hostname: string): Promise<readonly LookupAddress[]> => {
    const shared = underWay.get(hostname);
    if (shared !== undefined) return shared;
    const started = lookup(hostname).finally(() => underWay.delete(hostname));
    underWay.set(hostname, started);
    return started;
  };
  return (hostname, options, callback) => {
    const fail = (error: Error): void => callback(error, []);
    const answer = (addresses: readonly LookupAddress[]): void => {
      const [first] = addresses;
      const refusal = addressesRefused(
        policy,
        addresses.map(({ address }) => address),
      );
      if (refusal !== null) fail(refusal);
      else if (first === undefined) fail(Object.assign(new Error("no address"), { code: "ENOTFOUND" }));
      else if (options.all === true) callback(null, [...addresses]);
      else callback(null, first.address, first.family);
    };
    share(hostname).then(answer, (error: unknown) => fail(toError(error)));
  };
}
