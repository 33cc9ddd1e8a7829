/** What each operation does with each kind of row: the table of behaviour.md 2.2 as data. */
import type { Operation } from "../domain/configuration.ts";
import type { BatchOperation } from "../projections/database.ts";

/** One column of the table. Rows that are new are sent by every operation, invalid and unchanged ones by none. */
export interface OperationRules {
  /** What the destination is asked to do with the rows that are sent. */
  batches: BatchOperation;
  /** Whether a row whose key was accepted before is sent again once its values differ. */
  sendsChanged: boolean;
  /** A key that was accepted and is not in the source any more: kept, deleted at the destination, or only forgotten. */
  gone: "keep" | "delete" | "forget";
}

/** The rules by operation. */
export const OPERATION_RULES: Readonly<Record<Operation, OperationRules>> = {
  upsert: { batches: "upsert", sendsChanged: true, gone: "keep" },
  update: { batches: "update", sendsChanged: true, gone: "keep" },
  insert: { batches: "insert", sendsChanged: false, gone: "keep" },
  append: { batches: "append", sendsChanged: false, gone: "keep" },
  mirror: { batches: "upsert", sendsChanged: true, gone: "delete" },
  // Its state holds the keys that were deleted: one that leaves the list may come back, and is deleted anew.
  delete: { batches: "delete", sendsChanged: false, gone: "forget" },
};
