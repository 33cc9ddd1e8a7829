/** The addresses that a host name leads to, looked up once per connection and vetted all of them. */
import { ADDRCONFIG, type LookupAddress } from "node:dns";
import { lookup as lookUpInSystem } from "node:dns/promises";
import type { LookupFunction } from "node:net";
import { AppError, toError } from "../domain/errors.ts";
import { ALLOW_SETTING, addressRefusal, type OutboundPolicy, type RefusalCode } from "./outboundPolicy.ts";

/** All addresses of a host name; rejects with the codes of node:dns. */
export type Lookup = (hostname: string) => Promise<readonly LookupAddress[]>;

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

/** One forbidden address spoils the whole answer: a name with two faces is an attack or a mistake. */
export function addressesRefused(
  policy: OutboundPolicy,
  addresses: readonly string[],
): OutboundRefused | null {
  for (const address of addresses) {
    const range = addressRefusal(policy, address);
    if (range !== null) {
      const message = `the host has an address that is not public (the operator can allow it with ${ALLOW_SETTING})`;
      return new OutboundRefused("EGRET_ADDRESS_FORBIDDEN", message, range);
    }
  }
  return null;
}

/** Asks the system, since it knows the hosts file and the container's names. */
export function lookUpAll(hostname: string): Promise<LookupAddress[]> {
  return lookUpInSystem(hostname, { all: true, hints: ADDRCONFIG, order: "verbatim" });
}

/** The addresses of a name, all of them vetted; rejects with OutboundRefused or what the resolver says. */
export function vettedAddresses(policy: OutboundPolicy, lookup: Lookup): Lookup {
  // The system's resolver has few threads: a name that hangs takes one, not one per connection that waits for it.
  const underWay = new Map<string, Promise<readonly LookupAddress[]>>();
  const share = (hostname: string): Promise<readonly LookupAddress[]> => {
    const shared = underWay.get(hostname);
    if (shared !== undefined) return shared;
    const started = lookup(hostname).finally(() => underWay.delete(hostname));
    underWay.set(hostname, started);
    return started;
  };
  return async (hostname) => {
    const found = await share(hostname);
    const refusal = addressesRefused(
      policy,
      found.map(({ address }) => address),
    );
    if (refusal !== null) throw refusal;
    if (found.length === 0) throw Object.assign(new Error("no address"), { code: "ENOTFOUND" });
    return found;
  };
}

/** What node:net asks for the addresses to connect to; it asks once per connection and takes what it is given. */
export function vettedLookup(addressesOf: Lookup): LookupFunction {
  return (hostname, options, callback) => {
    const answer = (addresses: readonly LookupAddress[]): void => {
      const [first] = addresses;
      if (options.all === true || first === undefined) callback(null, [...addresses]);
      else callback(null, first.address, first.family);
    };
    const fail = (error: unknown): void => callback(toError(error), []);
    addressesOf(hostname).then(answer, fail);
  };
}
