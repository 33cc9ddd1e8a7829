/** The Postgres advisory locks by which projectors and rebuilds of one database keep out of each other's way. */
import type pg from "pg";
import type { StreamName } from "./eventSource.ts";

/** "egrt" in ASCII: keeps our locks apart from those of anything else in the same database. */
const CLASS = 0x65_67_72_74;
const PROJECTOR: Record<StreamName, number> = { runs: 1, deliveries: 2 };
const REBUILD = 3;
const RETENTION = 4;
const EXCHANGE_DAYS = 5;

/** Tries to become the one projector of a stream for as long as this session lives. */
export async function tryLeadStream(client: pg.ClientBase, stream: StreamName): Promise<boolean> {
  const { rows } = await client.query<{ leads: boolean }>("select pg_try_advisory_lock($1, $2) as leads", [
    CLASS,
    PROJECTOR[stream],
  ]);
  return rows[0]?.leads === true;
}

/** SQL expression: true when no rebuild is going on or waiting, and none can begin before this transaction ends. */
export const NO_REBUILD = `pg_try_advisory_xact_lock_shared(${CLASS}, ${REBUILD})`;

/**
 * Makes every projector pause, after the batch it is writing, until `unlockRebuild` or the end of this session.
 * Throws Postgres error 55P03 when another rebuild has the lock for longer than waitMs.
 */
export async function lockRebuild(client: pg.ClientBase, waitMs: number): Promise<void> {
  await client.query(`set lock_timeout = ${Math.trunc(waitMs)}`);
  try {
    // A waiting exclusive lock also stops new shared ones, so two busy projectors cannot starve a rebuild.
    await client.query("select pg_advisory_lock($1, $2)", [CLASS, REBUILD]);
  } finally {
    await client.query("set lock_timeout = default");
  }
}

/** Lets the projectors go on. */
export async function unlockRebuild(client: pg.ClientBase): Promise<void> {
  await client.query("select pg_advisory_unlock($1, $2)", [CLASS, REBUILD]);
}

/** Tries to become the one process that purges, for as long as this session lives. */
export async function tryLeadRetention(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ leads: boolean }>("select pg_try_advisory_lock($1, $2) as leads", [
    CLASS,
    RETENTION,
  ]);
  return rows[0]?.leads === true;
}

/** Lets others purge; the end of the session does it too, a moment later. */
export async function unleadRetention(client: pg.ClientBase): Promise<void> {
  await client.query("select pg_advisory_unlock($1, $2)", [CLASS, RETENTION]);
}

/** Waits until this transaction alone may make days of exchanges. */
export async function lockExchangeDays(client: pg.ClientBase): Promise<void> {
  await client.query("select pg_advisory_xact_lock($1, $2)", [CLASS, EXCHANGE_DAYS]);
}
