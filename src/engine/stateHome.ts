/** Where the state of a sync is, as a plan and the outcomes of batches use it: the one place where the two homes differ. */
import type pg from "pg";
import type { BatchOperation } from "../projections/database.ts";

/** A batch that is being settled, its rows still in it. */
export interface BatchInHand {
  sync_id: number;
  run_id: number;
  batch_no: number;
  operation: BatchOperation;
  /** Whether acceptance takes its keys out of the state. */
  forgets: boolean;
  hasRecords: boolean;
  /** Whether the answer said of some rows that they were not taken. */
  hasErrors: boolean;
  /** Whether the state of its sync stands in the source. */
  isElsewhere: boolean;
}

/** What a batch in hand selects from egret.batches, as b. */
export const BATCH_IN_HAND = `b.sync_id, b.run_id, b.batch_no, b.operation, b.hashes IS NULL AS forgets,
  b.row_records IS NOT NULL AS "hasRecords", b.row_errors IS NOT NULL AS "hasErrors",
  EXISTS (SELECT FROM egret.state_homes h WHERE h.sync_id = b.sync_id) AS "isElsewhere"`;

/** A hash that no row has: whatever the row is, it differs. */
export const IN_DOUBT = 0;

/** A state as batches advance it; each call is part of the transaction that settles them, all of one sync. */
export interface SettledState {
  /** The destination holds the rows that were taken. */
  remember(client: pg.PoolClient, batches: readonly BatchInHand[]): Promise<void>;
  /** The destination holds them no longer. */
  forget(client: pg.PoolClient, batches: readonly BatchInHand[]): Promise<void>;
  /** Every row of these batches that the state has is to be sent again. */
  doubt(client: pg.PoolClient, batches: readonly BatchInHand[]): Promise<void>;
  /** The same for rows that are remembered as they were now sent, of all rows or those that an answer refused. */
  doubtSame(client: pg.PoolClient, batches: readonly BatchInHand[], rows: "all" | "refused"): Promise<void>;
}

/** A state as a plan uses it; each call is part of the plan's transaction. */
export interface PlannedState {
  /** Makes it as this run needs it. */
  prepare(client: pg.PoolClient, options: { keepsRecords: boolean }): Promise<void>;
  /** Empties it. */
  clear(client: pg.PoolClient): Promise<void>;
  isEmpty(client: pg.PoolClient): Promise<boolean>;
  /** Drops the keys of egret_diff that left the source. */
  forgetGone(client: pg.PoolClient): Promise<void>;
  /** What to select the last accepted records of those keys from: (key, record). */
  readonly goneRecords: string;
}

/** The batches named by $1 and $2, as values of a query. */
export function named(batches: readonly BatchInHand[]): [number[], number[]] {
  return [batches.map((each) => each.run_id), batches.map((each) => each.batch_no)];
}
