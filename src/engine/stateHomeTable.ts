/** A state in a table of ours: what an outcome makes of it is done at once, in the transaction that settles the batch. */
import type pg from "pg";
import { IS_GONE } from "./diffKinds.ts";
import { rememberRows } from "./rememberRows.ts";
import { stateTable } from "./scratch.ts";
import { type BatchInHand, IN_DOUBT, named, type PlannedState, type SettledState } from "./stateHome.ts";

const ARE_NAMED = "(b.run_id, b.batch_no) IN (SELECT * FROM unnest($1::bigint[], $2::int[]))";
/** The batches named by $1 and $2, as b. */
const BATCHES = `egret.batches b WHERE ${ARE_NAMED}`;
/** The rows of the batches named by $1 and $2, as k. */
export const ROWS = `egret.batches b CROSS JOIN LATERAL unnest(b.keys, b.hashes, b.row_records, b.row_errors) AS k (key, hash, record, error)
  WHERE ${ARE_NAMED}`;
/** Of those, the rows of which the answer did not say that they were not taken, and the others. */
export const TAKEN = `${ROWS} AND k.error IS NULL`;
export const REFUSED = `${ROWS} AND k.error IS NOT NULL`;

/** The state of a sync in schema egret_state. */
export function tableState(syncId: number): SettledState & PlannedState {
  const state = stateTable(syncId);
  return {
    async remember(client: pg.PoolClient, batches: readonly BatchInHand[]): Promise<void> {
      const hasRecords = batches.some((each) => each.hasRecords);
      await rememberRows(client, {
        state,
        hasRecords,
        batches: BATCHES,
        taken: TAKEN,
        values: named(batches),
      });
    },
    async forget(client, batches) {
      await client.query(
        `DELETE FROM ${state} AS state USING ${TAKEN} AND state.key = k.key`,
        named(batches),
      );
    },
    async doubt(client, batches) {
      await client.query(
        `UPDATE ${state} AS state SET hash = ${IN_DOUBT} FROM ${ROWS} AND state.key = k.key`,
        named(batches),
      );
    },
    async doubtSame(client, batches, rows) {
      await client.query(
        `UPDATE ${state} AS state SET hash = ${IN_DOUBT} FROM ${rows === "refused" ? REFUSED : ROWS}
           AND state.key = k.key AND state.hash = k.hash`,
        named(batches),
      );
    },
    prepare: (client, options) => prepareTable(client, state, options),
    async clear(client) {
      await client.query(`TRUNCATE ${state}`);
    },
    async isEmpty(client) {
      const { rows } = await client.query<{ empty: boolean }>(
        `SELECT NOT EXISTS (SELECT FROM ${state}) AS empty`,
      );
      return rows[0]?.empty === true;
    },
    async forgetGone(client) {
      await client.query(`DELETE FROM ${state} t USING egret_diff d WHERE ${IS_GONE} AND d.key = t.key`);
    },
    goneRecords: state,
  };
}

async function prepareTable(
  client: pg.PoolClient,
  state: string,
  { keepsRecords }: { keepsRecords: boolean },
): Promise<void> {
  // Room on each page for both versions of every row: a changed hash never touches the index, even if all change at once.
  await client.query(`CREATE TABLE IF NOT EXISTS ${state}
    (key text COLLATE "C" PRIMARY KEY, hash bigint NOT NULL) WITH (fillfactor = 50)`);
  const { rowCount } = await client.query(
    "SELECT FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'record' AND NOT attisdropped",
    [state],
  );
  const hasRecords = (rowCount ?? 0) > 0;
  if (keepsRecords && !hasRecords) await client.query(`ALTER TABLE ${state} ADD COLUMN record text`);
  // Kept on without being renewed, records would be old ones when the option is switched on again.
  if (!keepsRecords && hasRecords) await client.query(`ALTER TABLE ${state} DROP COLUMN record`);
}
