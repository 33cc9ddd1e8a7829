/** When a target counts as failing, when its circuit opens, and when it is probed: all numbers in one place. */

/** The numbers; times in ms. Source: ours. */
export interface EndpointPolicy {
  /** Failed attempts in a row that make a target failing. */
  failingAfterFailures: number;
  /** A target that recovered is not called failing again sooner, so that one that flaps does not fill the log. */
  restMs: number;
  /** The circuit opens after this many failures in a row … */
  openAfterFailures: number;
  /** … and this long after the first of them. */
  openAfterMs: number;
  /** From opening to the first probe; each failed probe doubles it … */
  firstPauseMs: number;
  /** … up to this. */
  maxPauseMs: number;
  /** A probe whose outcome nobody reported by then is taken over. */
  probeTimeoutMs: number;
  /** How often at most it is asked whether a target is to be disabled. */
  askEveryMs: number;
}

/** Opening takes longer than a whole schedule of retries (184 s), so that the circuit never cuts into one. */
export const ENDPOINT_POLICY: EndpointPolicy = {
  failingAfterFailures: 5,
  restMs: 60_000,
  openAfterFailures: 20,
  openAfterMs: 5 * 60_000,
  firstPauseMs: 30_000,
  maxPauseMs: 5 * 60_000,
  probeTimeoutMs: 60_000,
  askEveryMs: 1_000,
};

/** The wait before the next probe, ms, after so many in this outage. */
export function probePauseMs(policy: EndpointPolicy, probes: number): number {
  return Math.min(policy.maxPauseMs, policy.firstPauseMs * 2 ** Math.min(probes, 30));
}
