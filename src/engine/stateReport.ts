/** What the state of a sync is and where it stands, for people. */
import { sql } from "kysely";
import type { Sync } from "../domain/configuration.ts";
import type { OpenDatabase } from "../projections/database.ts";
import { inSource, readApplied, readHome, whyLost } from "./advancedState.ts";
import { stateTable } from "./scratch.ts";

/** The state of one sync. */
export interface StateReport {
  home: "egret" | "source";
  /** Schema of the source; null when it stands in our Postgres. */
  schema: string | null;
  /** Keys that its destination holds as far as we know; null when there is no state. */
  rows: number | null;
  /** Table and index; null when there is no state. */
  bytes: number | null;
  /** Keys noted here that the source is still to be told. */
  waiting: number;
  /** Why it cannot be gone on from, or could not the last time; null when it always could. */
  lost: string | null;
}

interface Size {
  rows: number;
  bytes: number;
}

/** @throws RunFailure when the state stands in a source that does not answer. */
export async function reportState(
  { db }: OpenDatabase,
  sync: Pick<Sync, "id" | "source">,
): Promise<StateReport> {
  const { rows: known } = await sql<{ lost: string | null; waiting: number }>`
    select (select state_lost from egret.sync_states where sync_id = ${sync.id}) as lost,
           (select coalesce(sum(cardinality(keys)), 0)::bigint from egret.state_journal where sync_id = ${sync.id}) as waiting`.execute(
    db,
  );
  const { lost = null, waiting = 0 } = known[0] ?? {};
  const home = await readHome(db, sync.id);
  if (home === null) {
    const name = stateTable(sync.id);
    const there = await sql<{ there: boolean }>`select to_regclass(${name}) is not null as there`.execute(db);
    if (there.rows[0]?.there !== true)
      return { home: "egret", schema: null, rows: null, bytes: null, waiting, lost };
    const { rows } = await sql<Size>`
      select (select count(*) from ${sql.raw(name)}) as rows, pg_total_relation_size(${name}::regclass) as bytes`.execute(
      db,
    );
    return { home: "egret", schema: null, waiting, lost, ...(rows[0] ?? { rows: null, bytes: null }) };
  }
  return inSource(sync.source, async (client) => {
    const report = { home: "source" as const, schema: home.schema, waiting };
    const applied = await readApplied(client, home);
    const now = whyLost(applied, { ...home, last: Infinity }) ?? lost;
    if (applied === null) return { ...report, rows: null, bytes: null, lost: now };
    const { rows } = await client.query<{ rows: string; bytes: string }>(
      `SELECT (SELECT count(*) FROM ${home.table})::text AS rows, pg_total_relation_size('${home.table}'::regclass)::text AS bytes`,
    );
    return { ...report, rows: Number(rows[0]?.rows), bytes: Number(rows[0]?.bytes), lost: now };
  });
}
