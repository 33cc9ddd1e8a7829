/** Cuts what one request sends in two: the same bytes where records travel as they are, else made anew from them. */
import { requestMaker } from "../destinations/requestMaker.ts";
import type { Destination } from "../domain/configuration.ts";
import type { BatchOperation } from "../projections/database.ts";
import { cutRecords, joinRecords } from "./bodyRecords.ts";

/** A batch of several records. */
export interface WholeBatch {
  operation: BatchOperation;
  body: Buffer;
  records: number;
  /** The records as a JSON list, where the body was made from a template. */
  sourceRecords: Buffer | null;
}

/** What one half sends. */
export interface HalfBatch {
  body: Buffer;
  /** As in a whole batch. */
  sourceRecords: Buffer | null;
}

/** The two halves, the first with `firstRecords` records; null when this batch cannot be cut. */
export type CutBody = (batch: WholeBatch, firstRecords: number) => [HalfBatch, HalfBatch] | null;

/** How batches for a destination are cut. */
export function cutFor(destination: Destination): CutBody {
  if (destination.type === "webhook") return cutJsonBody;
  return (batch, firstRecords) => {
    if (batch.sourceRecords === null) return cutJsonBody(batch, firstRecords);
    const parts = cutRecords(batch.sourceRecords);
    if (parts === null || parts.records.length !== batch.records) return null;
    const maker = requestMaker(destination, batch.operation === "delete");
    const half = (from: number, to: number): HalfBatch | null => {
      const records = parts.records.slice(from, to);
      // The template may have changed since the plan was made: then many records may no longer fit in one request.
      if (records.length > maker.recordsPerRequest) return null;
      const made = maker.make(records);
      if (!made.ok) return null;
      return {
        body: made.body,
        sourceRecords: joinRecords({ ...parts, records }),
      };
    };
    const [first, second] = [half(0, firstRecords), half(firstRecords, batch.records)];
    return first === null || second === null ? null : [first, second];
  };
}

/** Cuts the list in a JSON body; what stands around it is in both halves. */
export const cutJsonBody: CutBody = ({ body, records }, firstRecords) => {
  const parts = cutRecords(body);
  if (parts === null || parts.records.length !== records) return null;
  const half = (from: number, to: number): HalfBatch => ({
    body: joinRecords({ ...parts, records: parts.records.slice(from, to) }),
    sourceRecords: null,
  });
  return [half(0, firstRecords), half(firstRecords, records)];
};
