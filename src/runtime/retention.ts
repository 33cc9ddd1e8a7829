/** Retention: each hour one process drops what is older than the settings say, by whole partitions where there are many rows. */
import { purgeApi } from "../configuration/apiRetention.ts";
import { toError } from "../domain/errors.ts";
import { purgeRuns } from "../engine/purge.ts";
import { tryLeadRetention, unleadRetention } from "../projections/advisoryLocks.ts";
import type { OpenDatabase } from "../projections/database.ts";
import { dayOf, makeExchangeDays } from "../projections/exchangeDays.ts";
import {
  daysBefore,
  dropOldDeliveries,
  dropOldExchanges,
  type OldPartition,
} from "../projections/oldPartitions.ts";

/** How long things stay, days. */
export interface RetentionRules {
  /** Deliveries and attempts after their last event, like their events in the log; plans and batches after their run. */
  deliveryDays: number;
  /** Requests and answers as they went over the wire; 0 keeps none. */
  exchangeDays: number;
  /** Rows of runs as they were sent or set aside, but no longer than deliveries; 0 keeps none. */
  recordDays: number;
}

/** Requests and answers are kept this long unless the settings say otherwise. Source: behaviour.md 6.10. */
export const DEFAULT_EXCHANGE_DAYS = 14;
/** Rows of runs are kept this long unless the settings say otherwise. Source: docs; behaviour.md 8.2. */
export const DEFAULT_RECORD_DAYS = 14;

/**
 * A command repeated within this time, days, finds the run it caused, however short deliveries are kept: longer than
 * the log's window for duplicates (2 min), and than a message that was not acknowledged waits for a worker to come
 * back from a week's outage. Source: ours.
 */
const FEWEST_COMMAND_DAYS = 7;

/** What went, or in a dry run would go; tables and partitions of which nothing goes are left out. */
export interface RetentionReport {
  partitions: OldPartition[];
  rows: { table: string; rows: number }[];
}

export interface RetentionOptions {
  database: OpenDatabase;
  rules: RetentionRules;
  /** ms since the epoch. */
  now?: () => number;
  isDryRun?: boolean;
  /** Ends it between two steps. */
  signal?: AbortSignal;
}

/** Drops what is old, or says what would go; null while another process is at it. */
export async function applyRetention(options: RetentionOptions): Promise<RetentionReport | null> {
  const { database, rules, isDryRun = false, signal } = options;
  const nowMs = (options.now ?? Date.now)();
  const client = await database.pool.connect();
  let isHealthy = false;
  try {
    if (!isDryRun && !(await tryLeadRetention(client))) {
      isHealthy = true;
      return null;
    }
    // Ahead of midnight, so that no worker has to make the day in the middle of its work.
    if (!isDryRun && rules.exchangeDays > 0) {
      await makeExchangeDays(client, [dayOf(nowMs), dayOf(nowMs) + 1]);
    }
    const partitions: OldPartition[] = [];
    const exchangesBefore = daysBefore(nowMs, rules.exchangeDays);
    partitions.push(...(await dropOldExchanges(client, { before: exchangesBefore, isDryRun })));
    const before = daysBefore(nowMs, rules.deliveryDays);
    if (signal?.aborted !== true) partitions.push(...(await dropOldDeliveries(client, { before, isDryRun })));
    const recordDays = Math.min(rules.recordDays, rules.deliveryDays);
    const purged = await purgeRuns(database.pool, {
      recordsBefore: daysBefore(nowMs, recordDays),
      runsBefore: before,
      commandsBefore: daysBefore(nowMs, Math.max(rules.deliveryDays, FEWEST_COMMAND_DAYS)),
      isDryRun,
      ...(signal && { signal }),
    });
    purged.push(...(await purgeApi(database.pool, { nowMs, isDryRun, signal })));
    if (!isDryRun) await unleadRetention(client);
    isHealthy = true;
    return { partitions, rows: purged.filter(({ rows }) => rows > 0) };
  } finally {
    // Ending the session gives the lead up whatever happened.
    client.release(!isHealthy);
  }
}

/** What retention says of itself; pino fits. */
export interface RetentionLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** A job that runs until it is stopped. */
export interface RetentionJob {
  /** Ends after the step that is under way. */
  stop(): Promise<void>;
}

const HOUR_MS = 3_600_000;

/** Applies the rules at once and then every hour; what fails is told and tried again the next time. */
export function startRetention(
  options: Pick<RetentionOptions, "database" | "rules" | "now"> & {
    logger: RetentionLogger;
    intervalMs?: number;
  },
): RetentionJob {
  const { logger, intervalMs = HOUR_MS, ...what } = options;
  const stopping = new AbortController();
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        tell(logger, await applyRetention({ ...what, signal: stopping.signal }));
      } catch (error) {
        if (!stopping.signal.aborted) logger.warn({ err: toError(error) }, "retention.failed");
      }
      await pause(intervalMs, stopping.signal);
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

function tell(logger: RetentionLogger, report: RetentionReport | null): void {
  if (report === null) return;
  for (const { isDropped, ...partition } of report.partitions) {
    if (isDropped) logger.info(partition, "retention.dropped");
    else logger.warn(partition, "retention.postponed");
  }
  for (const purged of report.rows) logger.info(purged, "retention.purged");
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
