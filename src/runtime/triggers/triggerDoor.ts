/**
 * Takes triggers in this process, without the detour over the command queue: by the code of the command worker, with what
 * many of them ask at once asked together. What a process that dies leaves half done, unbegunRuns.ts ends.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Kysely } from "kysely";
import type { RunAggregate } from "../../domain/aggregate.ts";
import type { TriggerCommand } from "../../domain/command.ts";
import { toError } from "../../domain/errors.ts";
import {
  acceptTrigger,
  acceptTriggers,
  answerAtAGlance,
  claimOf,
  type TriggerToAccept,
} from "../../engine/claims.ts";
import type { EventLog } from "../../log/eventLog.ts";
import type { Database, OpenDatabase } from "../../projections/database.ts";
import type { CommandInHand, Refusal } from "../commandInHand.ts";
import { Together } from "../together.ts";
import {
  beginInLog,
  beginningOf,
  type FirstEvent,
  lackingIn,
  requestRun,
  wishesOf,
} from "./triggerCommand.ts";
import type { TriggerDesk, TriggeredSync } from "./triggerDesk.ts";
import { type Glance, type GlanceAsk, glanceAt } from "./triggerGlance.ts";

/** A trigger by hand; `sync` is its id. */
export type DoorTrigger = Omit<CommandInHand<"trigger">, "payload"> & {
  payload: TriggerCommand & { sync: number };
  /** Whether the command may have come before, under the same id. */
  isRepeatable: boolean;
};

/** The run that a trigger caused, or the one that was under way and does what was asked; else why there is none. */
export type DoorAnswer = { kind: "run"; runId: number } | { kind: "refused"; refusal: Refusal };

/** Takes triggers. */
export interface TriggerDoor {
  /** @throws Unavailable when Postgres or NATS does not answer; the same command id then finds the same run. */
  trigger(command: DoorTrigger): Promise<DoorAnswer>;
}

/** A command id of this door counts for so long, ms: as long as an Idempotency-Key does. */
const COMMAND_MEMORY_MS = 24 * 3_600_000;
/** A run that was accepted and is not in the log yet is somebody else's to begin, for this long, ms. */
const BEGIN_PATIENCE_MS = 1_000;
const LOOK_EVERY_MS = 20;
/** Runs known to be in the log. */
const MAX_KNOWN = 10_000;

/** A door on our Postgres and the log. */
export function openTriggerDoor({ database, log }: { database: OpenDatabase; log: EventLog }): TriggerDoor {
  const known = new KnownRuns();
  const begin = async (first: FirstEvent): Promise<void> => {
    const { sync_run_id: runId } = first.data;
    if (known.has(runId)) return;
    await beginInLog(log, first);
    known.add(runId);
  };
  const deskFor = openDesks(database, known);
  const looks = new Map<number, Promise<void>>();

  /** A run that is given back can be read at once: it is in the log. */
  const makeSure = (command: DoorTrigger, run: RunAggregate, sync: TriggeredSync): Promise<void> => {
    const { runId } = run;
    const look = looks.get(runId) ?? lookAfter(command, run, sync).finally(() => looks.delete(runId));
    looks.set(runId, look);
    return look;
  };
  const lookAfter = async (command: DoorTrigger, run: RunAggregate, sync: TriggeredSync): Promise<void> => {
    const deadline = performance.now() + BEGIN_PATIENCE_MS;
    for (;;) {
      if ((await log.last(run)) !== null) return known.add(run.runId);
      if (performance.now() > deadline) break;
      await delay(LOOK_EVERY_MS);
    }
    // Whoever claimed the sync for it died before the run began: it begins as what was asked for then, not now.
    await begin(await beginningOf(deskFor(command), command, { sync, runId: run.runId, duplicate: true }));
  };

  return {
    async trigger(command) {
      const requested = await requestRun({ log, desk: deskFor(command), begin }, command);
      if (requested.kind !== "refused") return { kind: "run", runId: requested.runId };
      const { refusal, sync } = requested;
      if (refusal.code !== "ALREADY_RUNNING" || refusal.runId === undefined || sync === null)
        return { kind: "refused", refusal };
      const { runId } = refusal;
      const run: RunAggregate = { kind: "run", workspaceId: command.workspaceId, syncId: sync.id, runId };
      if (!known.has(runId)) await makeSure(command, run, sync);
      const wishes = wishesOf(command.payload);
      const lacking = wishes.length === 0 ? [] : await lackingIn(log, run, wishes);
      if (lacking.length === 0) return { kind: "run", runId };
      const message = `${lacking.join(", ")}: run ${runId} is under way, and was triggered without; wait for its end or cancel it, then trigger again`;
      return { kind: "refused", refusal: { ...refusal, message } };
    },
  };
}

/** Runs that are in the log, the latest ones. */
class KnownRuns {
  readonly #ids = new Set<number>();

  has(runId: number): boolean {
    return this.#ids.has(runId);
  }

  add(runId: number): void {
    this.#ids.add(runId);
    const [oldest = 0] = this.#ids.size > MAX_KNOWN ? this.#ids : [];
    this.#ids.delete(oldest);
  }
}

/** What the command worker's code asks for one trigger, of which most is seen already. */
type DeskFor = (command: DoorTrigger) => TriggerDesk;

function openDesks({ pool, db }: OpenDatabase, known: KnownRuns): DeskFor {
  // Most triggers of a busy sync change nothing: those are answered by what one query without a lock shows.
  const glances = new Together((asks: readonly GlanceAsk[]) =>
    glanceAt(pool, asks, { memoryMs: COMMAND_MEMORY_MS }),
  );
  const claims = new Together((asks: readonly TriggerToAccept[]) => acceptAll(db, asks));
  return ({ workspaceId, commandId, payload, isRepeatable }) => {
    let glance: Glance | null = null;
    return {
      async findSync() {
        glance = await glances.ask({
          workspaceId,
          syncId: payload.sync,
          commandId: isRepeatable ? commandId : null,
        });
        return glance?.sync ?? null;
      },
      // Nobody is told the names: who asks by id gets a 404.
      syncNames: async () => [],
      async acceptTrigger(claim) {
        const answer = glance === null ? null : answerAtAGlance(claim, glance.seen);
        return answer ?? claims.ask({ ...claim, forgetAfterMs: COMMAND_MEMORY_MS });
      },
      // A run that is in the log has begun: triggers that join it ask for nothing.
      claimOf: async (run) => (known.has(run.runId) ? null : claimOf(db, run)),
    };
  };
}

type Claimed = Awaited<ReturnType<TriggerDesk["acceptTrigger"]>>;

async function acceptAll(db: Kysely<Database>, triggers: readonly TriggerToAccept[]): Promise<Claimed[]> {
  try {
    return await acceptTriggers(db, triggers);
  } catch (error) {
    // Somebody had one of the syncs for long, or accepted the same command: each for itself, none waits for another's.
    const results = await Promise.allSettled(triggers.map((trigger) => acceptTrigger(db, trigger)));
    return results.map((result) => {
      if (result.status === "fulfilled") return result.value;
      throw toError(result.reason ?? error);
    });
  }
}
