/**
 * The pool for all requests to targets: looks a host name up once per connection, vets every address of the answer, and
 * connects to those very addresses, so that a second answer (DNS rebinding) is never asked for.
 */
import { isIP } from "node:net";
import { Agent, type buildConnector } from "undici";
import { type ConnectorOptions, directly, portOf, throughProxy } from "./connectors.ts";
import { handOver, noteConnecting } from "./connectSteps.ts";
import { isPortAllowed, type OutboundPolicy } from "./outboundPolicy.ts";
import type { OutboundProxy } from "./proxyTunnel.ts";
import { addressesRefused, OutboundRefused } from "./vettedAddresses.ts";

export type { Lookup } from "./vettedAddresses.ts";

/** How the pool connects. */
export interface GuardedAgentOptions extends ConnectorOptions {
  /** Connections per origin. */
  connections: number;
  /** Through which all connections go; none unless given. */
  proxy?: OutboundProxy | null;
}

/**
 * A pool of keep-alive connections; a request to where the policy forbids rejects with OutboundRefused.
 * @throws when a certificate or key is no PEM: configuration has checked them before.
 */
export function createGuardedAgent(options: GuardedAgentOptions): Agent {
  const { policy, connections, proxy = null } = options;
  const connect = proxy === null ? directly(options) : throughProxy(options, proxy);
  return new Agent({
    connections,
    pipelining: 1,
    // The request's deadline is the only clock.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: (target, callback) => {
      const steps = noteConnecting();
      const done: buildConnector.Callback = (...result) => handOver(steps, () => callback(...result));
      const refusal = refusalBeforeLookup(policy, target);
      if (refusal === null) connect(target, steps, done);
      else process.nextTick(done, refusal, null);
    },
  });
}

/** A port, or an address that stands in the URL: neither is ever looked up. */
function refusalBeforeLookup(policy: OutboundPolicy, target: buildConnector.Options): OutboundRefused | null {
  const port = portOf(target);
  if (!isPortAllowed(policy, port)) {
    return new OutboundRefused("EGRET_PORT_FORBIDDEN", `port ${port} is not called; choose another port`);
  }
  return isIP(target.hostname) === 0 ? null : addressesRefused(policy, [target.hostname]);
}
