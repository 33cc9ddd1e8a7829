/** How a connection to a target is made: straight to an address that was vetted, or to it through the operator's proxy. */
import { isIP, type Socket } from "node:net";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import { buildConnector } from "undici";
import { toError } from "../domain/errors.ts";
import type { ConnectSteps } from "./connectSteps.ts";
import type { OutboundPolicy } from "./outboundPolicy.ts";
import { type OutboundProxy, openTunnel, ProxyFailed } from "./proxyTunnel.ts";
import { type Lookup, lookUpAll, vettedAddresses, vettedLookup } from "./vettedAddresses.ts";

/** Covers look-up, connect and TLS, ms; the request's own deadline may come first. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Node leaves an address for the next one after 250 ms: too soon for a receiver on the other side of the world. */
const NEXT_ADDRESS_AFTER_MS = 1_000;

/** What connections are made of. */
export interface ConnectorOptions {
  policy: OutboundPolicy;
  /** PEM certificates of authorities to trust besides those that Node trusts. */
  ca?: string | null;
  /** What to show to a server that asks who calls; PEM. */
  clientCertificate?: { certificate: string; key: string } | null;
  connectTimeoutMs?: number;
  /** For tests; the system's resolver unless given. */
  lookup?: Lookup;
}

/** How one connection is made. */
export type Connect = (
  target: buildConnector.Options,
  steps: ConnectSteps,
  done: buildConnector.Callback,
) => void;

/** Once per pool, not per connection: reading all authorities takes milliseconds. */
function secureContextOf({ ca = null, clientCertificate = null }: ConnectorOptions): SecureContext {
  return createSecureContext({
    ...(ca === null ? {} : { ca: [...getCACertificates("default"), ca] }),
    ...(clientCertificate === null
      ? {}
      : { cert: clientCertificate.certificate, key: clientCertificate.key }),
  });
}

/** The type says nothing of it, but undici's connector returns the socket that it is connecting. */
type OpenSocket = (
  target: buildConnector.Options & { httpSocket?: Socket },
  callback: buildConnector.Callback,
) => Socket;

/**
 * Connects to the target itself.
 * @throws when a certificate or key is no PEM.
 */
export function directly(options: ConnectorOptions): Connect {
  const { policy, lookup = lookUpAll, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
  const open = buildConnector({
    lookup: vettedLookup(vettedAddresses(policy, lookup)),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS,
    timeout: connectTimeoutMs,
    secureContext: secureContextOf(options),
  }) as OpenSocket;
  return (target, steps, done) => {
    const isTls = target.protocol === "https:";
    let since = performance.now();
    const lap = (): number => {
      const from = since;
      since = performance.now();
      return since - from;
    };
    const socket = open(target, (...result) => {
      if (result[0] === null) steps[isTls ? "tlsMs" : "connectMs"] = lap();
      done(...result);
    });
    closeOnError(socket);
    // Told once per address of the answer.
    socket.once("lookup", () => {
      steps.dnsMs = lap();
    });
    if (isTls) {
      socket.once("connect", () => {
        steps.connectMs = lap();
      });
    }
  };
}

/**
 * The proxy is told an address that was vetted here: by a name it would look up for itself what may be another answer.
 * The name still stands in SNI, in the certificate's check and in the Host header.
 */
export function throughProxy(options: ConnectorOptions, proxy: OutboundProxy): Connect {
  const { policy, lookup = lookUpAll, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
  const secureContext = secureContextOf(options);
  const proxyContext = secureContextOf({ ...options, clientCertificate: null });
  const shakeHands = buildConnector({ timeout: connectTimeoutMs, secureContext }) as OpenSocket;
  const addressesOf = vettedAddresses(policy, lookup);
  const tunnelTo = async (target: buildConnector.Options, steps: ConnectSteps): Promise<Socket> => {
    const start = performance.now();
    const isName = isIP(target.hostname) === 0;
    const addresses = isName
      ? (await addressesOf(target.hostname)).map((found) => found.address)
      : [target.hostname];
    const connectStart = performance.now();
    if (isName) steps.dnsMs = connectStart - start;
    const port = portOf(target);
    let failure: unknown;
    for (const address of addresses) {
      const timeoutMs = Math.max(1, connectTimeoutMs - (performance.now() - start));
      try {
        const socket = await openTunnel(proxy, { address, port, timeoutMs, secureContext: proxyContext });
        steps.connectMs = performance.now() - connectStart;
        return socket;
      } catch (error) {
        failure = error;
        // Only a proxy that tried in vain may do better with the next address.
        if (!(error instanceof ProxyFailed) || (error.httpStatus ?? 0) < 500) break;
      }
    }
    throw failure;
  };
  return (target, steps, done) => {
    const finish = (socket: Socket): void => {
      if (target.protocol !== "https:") {
        done(null, socket.setNoDelay(true));
        return;
      }
      const start = performance.now();
      const secured = shakeHands({ ...target, httpSocket: socket }, (...result) => {
        if (result[0] === null) steps.tlsMs = performance.now() - start;
        done(...result);
      });
      closeOnError(secured);
    };
    const fail = (error: unknown): void => done(toError(error), null);
    tunnelTo(target, steps).then(finish, fail);
  };
}

/**
 * Since TLS 1.3 a server says that it wants a client certificate when our side has long shaken hands. Node tells that as
 * an error of a socket that then ends as if nothing was the matter, and undici would believe the end.
 */
function closeOnError(socket: Socket): void {
  socket.on("error", () => void socket.destroy());
}

/** The port of a target, also where its URL leaves it out. */
export function portOf({ port, protocol }: buildConnector.Options): number {
  return Number(port || (protocol === "https:" ? 443 : 80));
}
