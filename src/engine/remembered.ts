/** How many rows of a sync its destination has accepted, as far as our Postgres knows. */
import { type Kysely, sql } from "kysely";
import type { Database } from "../projections/database.ts";
import { stateTable } from "./scratch.ts";

/** Null when nothing is remembered here. */
export async function countRemembered(db: Kysely<Database>, syncId: number): Promise<number | null> {
  const name = stateTable(syncId);
  const there = await sql<{ there: boolean }>`select to_regclass(${name}) is not null as there`.execute(db);
  if (there.rows[0]?.there !== true) return null;
  const { rows } = await sql<{ rows: number }>`select count(*) as rows from ${sql.raw(name)}`.execute(db);
  return rows[0]?.rows ?? null;
}
