/** A row of a run with what became of it, as the API shows it. Its payload stands in the answer as it was sent. */
import { z } from "@hono/zod-openapi";
import { RECORD_OPERATIONS } from "../../../engine/recordExport.ts";
import { RECORD_STATUSES, type RowRecord } from "../../../engine/records.ts";
import { recordLine } from "../../../engine/recordText.ts";
import { listOf } from "../paging.ts";

/** In the document (behaviour.md 8.2; `rows` and `cursor` are ours). */
export const recordSchema = z
  .object({
    identifier: z.string().nullable().openapi({ description: "the key; null for rows whose key is NULL" }),
    record_payload: z.unknown().openapi({
      description: "the record as it was sent; null for a row that was set aside",
      example: { unique_id: "u-381", plan: "trial" },
    }),
    operation: z.enum(RECORD_OPERATIONS).nullable(),
    status: z.enum(RECORD_STATUSES),
    status_message: z.string().nullable(),
    batch_started_at: z.iso.datetime().nullable(),
    batch_completed_at: z.iso.datetime().nullable(),
    sync_configuration_id: z.int(),
    sync_run_id: z.int(),
    rows: z.int().openapi({ description: "rows of the source that this stands for" }),
    cursor: z.string(),
  })
  .openapi("Record");

type ListBody = Omit<z.infer<ReturnType<typeof listOf>>, "data">;

/** The text of a list's answer: a payload is never parsed on the way, so that no digit of a number is lost. */
export function recordsBody({ status, ...others }: ListBody, records: readonly RowRecord[]): string {
  const lines = records.map((record) => recordLine(record, { withCursor: true })).join(",");
  return `{"status":${JSON.stringify(status)},"data":[${lines}],${JSON.stringify(others).slice(1)}`;
}
