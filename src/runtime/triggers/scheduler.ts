/** Fires schedules: each tick becomes one trigger command, however many schedulers run. */
import type { Kysely } from "kysely";
import type { TriggerCommand } from "../../domain/command.ts";
import { toError } from "../../domain/errors.ts";
import { scheduleWords } from "../../domain/schedule.ts";
import { publishCommand } from "../../log/commands.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { Database } from "../../projections/database.ts";
import { type DueTick, planTicks, readOutlook, takeDueTick } from "./scheduleTicks.ts";

/** Time as the scheduler sees it. */
export interface SchedulerClock {
  /** ms since the epoch. */
  now(): number;
  /** Ends after that time, or rejects when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** What the scheduler says of itself; pino fits. */
export interface SchedulerLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface SchedulerOptions {
  db: Kysely<Database>;
  connection: LogConnection;
  logger: SchedulerLogger;
  clock?: SchedulerClock;
}

/** A scheduler that runs until it is stopped. */
export interface Scheduler {
  /** Ends after the tick in hand. */
  stop(): Promise<void>;
}

/** A schedule that is edited, and a continuous sync that becomes free, are seen within this time, ms. */
const LOOK_EVERY_MS = 1_000;

/** Starts it at once: a tick that was missed while no scheduler ran is caught up with one run. */
export function startScheduler({ db, connection, logger, clock = WALL_CLOCK }: SchedulerOptions): Scheduler {
  const stopping = new AbortController();
  const { signal } = stopping;
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      let pauseMs = LOOK_EVERY_MS;
      try {
        pauseMs = await fireDueTicks({ db, connection, logger, clock, signal });
      } catch (error) {
        if (!signal.aborted) logger.warn({ err: toError(error) }, "scheduler.waiting");
      }
      await clock.sleep(pauseMs, signal).catch(() => undefined);
    }
  };
  const running = run();
  return {
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

/** Fires all that is due and returns how long nothing will be, ms. */
async function fireDueTicks(parts: Required<SchedulerOptions> & { signal: AbortSignal }): Promise<number> {
  const { db, connection, logger, clock, signal } = parts;
  const now = () => new Date(clock.now());
  let outlook = await readOutlook(db, now());
  if (outlook.hasUnplanned || outlook.hasDue) {
    while (await planTicks(db)) signal.throwIfAborted();
    const publish = async (tick: DueTick): Promise<void> => {
      const { duplicate } = await publishTick(connection, tick);
      const lateMs = clock.now() - tick.at.getTime();
      logger.info({ sync: tick.syncId, tick: tick.at.toISOString(), lateMs, duplicate }, "schedule.fired");
    };
    while (await takeDueTick(db, now(), publish)) signal.throwIfAborted();
    outlook = await readOutlook(db, now());
  }
  const untilNextMs = (outlook.next?.getTime() ?? Number.POSITIVE_INFINITY) - clock.now();
  return Math.min(LOOK_EVERY_MS, Math.max(0, untilNextMs));
}

/** The same tick is the same command, for the log's window and, in our Postgres, for long after it. */
async function publishTick(
  connection: LogConnection,
  { workspaceId, syncId, schedule, at }: DueTick,
): Promise<{ duplicate: boolean }> {
  const payload: Partial<TriggerCommand> = {
    sync: syncId,
    requested_via: "Schedule",
    reason: scheduleWords(schedule),
    scheduled_execution_time: at.toISOString(),
  };
  return publishCommand(connection, { workspaceId, verb: "trigger", payload, id: tickId(syncId, at) });
}

/** Id of the command of a tick; without the signs of a time that cannot stand in a subject. */
export function tickId(syncId: number, at: Date): string {
  return `tick-${syncId}-${at.toISOString().replaceAll(/[-:.]/g, "")}`;
}

const WALL_CLOCK: SchedulerClock = {
  now: Date.now,
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(toError(signal.reason));
      const end = () => {
        clearTimeout(timer);
        reject(toError(signal.reason));
      };
      const timer = setTimeout(() => {
        signal.removeEventListener("abort", end);
        resolve();
      }, ms);
      signal.addEventListener("abort", end, { once: true });
    }),
};
