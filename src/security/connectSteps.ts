/**
 * How long the steps of a connection took, told to the request that it was opened for. undici does not say which
 * connection a request gets, but it begins one while it is asked to dispatch, and hands one over to its first request
 * while it is told that the connection stands: what is noted in that very moment belongs to that request.
 */

/** Durations, ms; null for a step that was not needed or not reached. Filled in as the connection comes about. */
export interface ConnectSteps {
  dnsMs: number | null;
  connectMs: number | null;
  tlsMs: number | null;
}

let begun: ConnectSteps | null = null;
let handedOver: ConnectSteps | null = null;

/** Told by the pool when it begins a connection. */
export function noteConnecting(): ConnectSteps {
  begun = { dnsMs: null, connectMs: null, tlsMs: null };
  return begun;
}

/** Told by the pool when a connection stands or has failed; `give` lets undici write, or fail, its first request. */
export function handOver(steps: ConnectSteps, give: () => void): void {
  handedOver = steps;
  try {
    give();
  } finally {
    handedOver = null;
  }
}

/** Runs `dispatch` and returns the steps of the connection that it began, or null when it began none. */
export function connectionBegunBy(dispatch: () => void): ConnectSteps | null {
  begun = null;
  dispatch();
  const steps = begun;
  begun = null;
  return steps;
}

/** The steps of the connection that is handed over at this moment, once; null when none is. */
export function takeHandedOver(): ConnectSteps | null {
  const steps = handedOver;
  handedOver = null;
  return steps;
}
