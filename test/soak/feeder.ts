/** Creates the deliveries of a soak, never more than may be under way, and each of them for certain. */
import { setTimeout as wait } from "node:timers/promises";
import { Unavailable } from "../../src/domain/errors.ts";
import type { EventLog } from "../../src/log/eventLog.ts";
import { DeliveryIntake } from "../../src/runtime/deliveries/deliveryIntake.ts";
import { type Planned, pendingOf, type SoakOptions } from "./soakPlan.ts";

/** How far the feeder is. */
export interface Fed {
  created: number;
}

/** What the feeder works with. */
export interface Feed {
  log: EventLog;
  plan: readonly Planned[];
  /** `ended` tells how many deliveries have ended by now, `mayExist` how many may have been created. */
  bounds: SoakOptions & { ended(): number; mayExist(): number };
  webhookIds: readonly number[];
  /** Counted up as they are created. */
  fed: Fed;
  signal: AbortSignal;
}

const IN_FLIGHT = 100;
const LOOK_EVERY_MS = 20;
const RETRY_PAUSE_MS = 500;

/** Resolves when all are created, or when the signal aborts. */
export async function feed({ log, plan, bounds, webhookIds, fed, signal }: Feed): Promise<void> {
  const intake = new DeliveryIntake(log);
  const beganAt = Date.now();
  const allowed = () => {
    const elapsed = (Date.now() - beganAt) / 1_000;
    const byRate = bounds.ratePerSecond === null ? plan.length : Math.ceil(elapsed * bounds.ratePerSecond);
    return Math.min(byRate, bounds.mayExist(), bounds.ended() + bounds.outstanding);
  };
  let next = 0;
  const lane = async () => {
    while (next < plan.length && !signal.aborted) {
      if (next >= allowed()) {
        await wait(LOOK_EVERY_MS);
        continue;
      }
      const planned = plan[next++];
      if (planned === undefined) return;
      await createForCertain(planned);
      fed.created += 1;
    }
  };
  /** A delivery that exists already is left as it is: an append of unknown outcome is simply made again. */
  const createForCertain = async (planned: Planned) => {
    while (!signal.aborted) {
      try {
        await intake.create(pendingOf(bounds, planned, webhookIds));
        return;
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        await wait(RETRY_PAUSE_MS);
      }
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}
