/** What dry and test runs tell: figures and outcomes, no row value (I11). */
import { z } from "zod";

const count = z.int().nonnegative();

/** What a run would do now (behaviour.md 4.5). */
export const dryReportSchema = z.object({
  expected_creates: count.describe("rows to send whose key was never accepted"),
  expected_updates: count.describe("rows to send whose key was accepted before"),
  expected_deletes: count.describe("keys that left the source and would be deleted"),
  batches: count.describe("requests without retries"),
  resends: count
    .nullable()
    .describe("rows accepted before that are sent again because all rows are; null without a full sync"),
  remembered: count.describe("keys that the destination accepted so far"),
  stopped_by: z
    .object({ error_code: z.string(), error_message: z.string(), error_detail: z.string().nullable() })
    .nullable()
    .describe("the fuse by which the run would stop before it sends anything; null when none would"),
});
export type DryReport = z.infer<typeof dryReportSchema>;

/** What became of the one record of a test (behaviour.md 4.6). Request and answer stand in our Postgres. */
export const testReportSchema = z.object({
  outcome: z.enum(["accepted", "rejected", "unavailable"]),
  http_status: z.int().nullable().describe("null when no status line came back"),
  error: z.string().nullable().describe("without any body; null when accepted"),
});
export type TestReport = z.infer<typeof testReportSchema>;
