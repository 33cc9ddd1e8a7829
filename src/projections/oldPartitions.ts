/** Finds partitions in which everything is old, and drops them: one statement, however many rows. */
import type pg from "pg";
import { NO_REBUILD } from "./advisoryLocks.ts";
import { LIVE_SCHEMA } from "./checkpoint.ts";
import { dayOf, listExchangeDays } from "./exchangeDays.ts";
import { listRunRanges, partitionName, RUN_PARTITIONED, type RunRange } from "./runPartitions.ts";

/** A partition that went, or would go. */
export interface OldPartition {
  partition: string;
  bytes: number;
  /** False when somebody used it just then: the next purge comes by again. */
  isDropped: boolean;
}

const DAY_MS = 86_400_000;
/** Dropping waits for whoever reads, and all others wait behind it: less than it takes Postgres to look for deadlocks. */
const LOCK_WAIT_MS = 500;
const LOCK_TRIES = 3;
const NOT_NOW = new Set(["55P03", "40P01"]);

/** Drops the days of exchanges that lie wholly before an instant. */
export async function dropOldExchanges(
  client: pg.ClientBase,
  { before, isDryRun }: { before: Date; isDryRun: boolean },
): Promise<OldPartition[]> {
  const dropped: OldPartition[] = [];
  for (const { day, partition } of await listExchangeDays(client)) {
    if (day >= dayOf(before.getTime())) continue;
    const name = `egret.${partition}`;
    const bytes = await sizeOf(client, [name]);
    const isDropped = isDryRun || (await dropTables(client, [name], () => Promise.resolve(true)));
    dropped.push({ partition: name, bytes, isDropped });
  }
  return dropped;
}

/**
 * Drops the partitions of deliveries, with their attempts, in which every delivery had its last event before an
 * instant. That is when the log has let go of it too: a rebuild would not bring it back.
 */
export async function dropOldDeliveries(
  client: pg.ClientBase,
  { before, isDryRun }: { before: Date; isDryRun: boolean },
): Promise<OldPartition[]> {
  const dropped: OldPartition[] = [];
  for (const range of await listRunRanges(client, LIVE_SCHEMA)) {
    if (await isYoung(client, range, before)) continue;
    if (!(await isAllOld(client, range, before))) continue;
    const names = RUN_PARTITIONED.map(({ name }) => partitionOf(name, range));
    const bytes = await sizeOf(client, names);
    // Looked at again under a lock: a delivery could have begun again meanwhile.
    const isStillOld = async () => (await isFree(client)) && (await isAllOld(client, range, before));
    const isDropped = isDryRun || (await dropTables(client, names, isStillOld));
    dropped.push({ partition: partitionOf("deliveries", range), bytes, isDropped });
  }
  return dropped;
}

function partitionOf(table: string, range: RunRange): string {
  return `${LIVE_SCHEMA}.${partitionName(table, range)}`;
}

/** Whether the newest run has a young delivery: one look at an index spares reading a whole partition each hour. */
async function isYoung(client: pg.ClientBase, range: RunRange, before: Date): Promise<boolean> {
  const { rows } = await client.query<{ updated_at: Date }>(
    `select updated_at from ${partitionOf("deliveries", range)} order by run_id desc limit 1`,
  );
  return rows[0] !== undefined && rows[0].updated_at >= before;
}

async function isAllOld(client: pg.ClientBase, range: RunRange, before: Date): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>(
    `select exists (select from ${partitionOf("deliveries", range)} where updated_at >= $1) as found`,
    [before.toISOString()],
  );
  return rows[0]?.found === false;
}

/** While a rebuild copies the partitions, they stay as they are. */
async function isFree(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ free: boolean }>(`select ${NO_REBUILD} as free`);
  return rows[0]?.free === true;
}

async function sizeOf(client: pg.ClientBase, tables: readonly string[]): Promise<number> {
  const { rows } = await client.query<{ bytes: number }>(
    "select sum(pg_total_relation_size(name::regclass))::bigint as bytes from unnest($1::text[]) as name",
    [tables],
  );
  return rows[0]?.bytes ?? 0;
}

/** Drops tables together unless they turn out not to be old; false when that or a lock was in the way. */
async function dropTables(
  client: pg.ClientBase,
  tables: readonly string[],
  isOld: () => Promise<boolean>,
): Promise<boolean> {
  for (let tries = 1; tries <= LOCK_TRIES; tries += 1) {
    await client.query(`begin; set local lock_timeout = ${LOCK_WAIT_MS}`);
    try {
      // Stops writers of these partitions alone, of which there are hardly any, while they are looked at.
      await client.query(`lock table ${tables.join(", ")} in share mode`);
      const isDropping = await isOld();
      if (isDropping) await client.query(`drop table ${tables.join(", ")}`);
      await client.query("commit");
      return isDropping;
    } catch (error) {
      await client.query("rollback").catch(() => undefined);
      if (!(error instanceof Error && "code" in error && NOT_NOW.has(String(error.code)))) throw error;
    }
  }
  return false;
}

/** The instant that lies a number of days before another. */
export function daysBefore(nowMs: number, days: number): Date {
  return new Date(nowMs - days * DAY_MS);
}
