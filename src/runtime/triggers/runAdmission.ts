/** Who may work now: a run takes one of its workspace's places, or its message comes back later. */
import type { Kysely } from "kysely";
import type { RunAggregate } from "../../domain/aggregate.ts";
import { askForSlot, leaveSlot, renewSlots } from "../../engine/slots.ts";
import type { EventLog } from "../../log/eventLog.ts";
import type { Database } from "../../projections/database.ts";

/** Runs of one workspace that work at the same time, unless the settings say otherwise. Source: behaviour.md 3.3. */
export const DEFAULT_RUNS_PER_WORKSPACE = 8;

/** The answer to a run that wants to work. `parked`: how often it was sent back before, which were no failed tries. */
export type Admission = { kind: "admitted"; parked: number } | { kind: "later"; delayMs: number };

/** What the run worker asks before it takes a run up. */
export interface RunAdmission {
  enter(run: RunAggregate): Promise<Admission>;
  /** Gives the place back: for good, until the run is taken up again, or not, since another worker has the run. */
  leave(run: RunAggregate, how: "ended" | "parked" | "elsewhere"): Promise<void>;
  close(): void;
}

export interface RunAdmissionOptions {
  db: Kysely<Database>;
  log: Pick<EventLog, "last">;
  /** Working runs per workspace, over all processes. */
  limit: number;
  /** Pause between two renewals of what is held, ms. */
  renewEveryMs?: number;
}

/** A third of the time after which a silent worker's runs lose their places. */
const RENEW_EVERY_MS = 5_000;
/** One whose sync is busy looks again after this, ms. */
const BLOCKED_MS = 1_000;
const FULL_MS = 250;
/** Those far behind look less often, so that a long queue costs little; below the time after which one is forgotten. */
const FULL_STEP_MS = 100;
const MAX_FULL_MS = 5_000;

/** Places in our Postgres, renewed as long as this process lives. */
export function openRunAdmission(options: RunAdmissionOptions): RunAdmission {
  const { db, log, limit, renewEveryMs = RENEW_EVERY_MS } = options;
  const held = new Set<number>();
  // A renewal that fails is made up for by the next: places outlive two that are missed.
  const renew = () => {
    if (held.size > 0) void renewSlots(db, [...held]).catch(() => undefined);
  };
  const timer = setInterval(renew, renewEveryMs);
  timer.unref();
  return {
    async enter(run) {
      const answer = await askForSlot(db, run, limit);
      if (answer.kind === "granted") {
        held.add(run.runId);
        return { kind: "admitted", parked: answer.parked };
      }
      // One that was cancelled meanwhile only has to end, which takes no place.
      const last = await log.last(run);
      if (last !== null && /^(canceling|completed)/.test(last.event.state))
        return { kind: "admitted", parked: 0 };
      if (answer.kind === "blocked") return { kind: "later", delayMs: BLOCKED_MS };
      return { kind: "later", delayMs: Math.min(FULL_MS + FULL_STEP_MS * answer.ahead, MAX_FULL_MS) };
    },
    async leave(run, how) {
      held.delete(run.runId);
      if (how !== "elsewhere") await leaveSlot(db, { runId: run.runId, hasEnded: how === "ended" });
    },
    close: () => clearInterval(timer),
  };
}
