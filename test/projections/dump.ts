/** Reads every read model whole, so that two of them can be compared to the last row. */
import type pg from "pg";

const TABLES = {
  checkpoints: "stream",
  runs: "id",
  deliveries: "target_kind, target_id, id",
  attempts: "target_kind, target_id, delivery_id, attempt",
  batches: "run_id, batch_no",
  syncs: "id",
  webhooks: "id",
  endpoints: "target_kind, target_id",
  alerts: "id",
  config_changes: "event_id",
  refused_commands: "workspace_id, command_id",
} as const;

/** All rows of all read models by table, in the order of their primary keys. */
export async function dump(pool: pg.Pool, schema = "egret_read"): Promise<Record<string, unknown[]>> {
  const tables: Record<string, unknown[]> = {};
  for (const [table, key] of Object.entries(TABLES)) {
    tables[table] = (await pool.query(`select * from ${schema}.${table} order by ${key}`)).rows;
  }
  return tables;
}

/** Empties every read model. */
export async function empty(pool: pg.Pool): Promise<void> {
  const tables = Object.keys(TABLES).filter((table) => table !== "batches");
  await pool.query(`truncate ${tables.map((table) => `egret_read.${table}`).join(", ")}`);
}
