/** A request to the destination of a sync and what was answered, as the API shows it. */
import { z } from "@hono/zod-openapi";
import type { DestinationCall } from "../../../projections/calls.ts";
import { instant } from "../answers.ts";

const headers = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

/** In the document (behaviour.md 8.3). */
export const apiCallSchema = z
  .object({
    started_at: z.iso.datetime(),
    duration_ms: z.number(),
    sync_run_id: z.int(),
    batch: z.string().openapi({ description: "number of the batch, or name of a half such as 3_1" }),
    attempt: z.int(),
    method: z.string().nullable(),
    url: z.string().nullable().openapi({ description: "without the values of its query" }),
    request_headers: headers.openapi({ description: "secrets are replaced" }),
    request_body: z
      .string()
      .nullable()
      .openapi({ description: "its first 64 KiB, as long as rows are kept" }),
    request_body_bytes: z.int().nullable(),
    http_status: z
      .int()
      .nullable()
      .openapi({ description: "null when no answer came: then `error` says why" }),
    error: z.string().nullable(),
    response_headers: headers.nullable(),
    response_body: z.string().nullable().openapi({ description: "its first 4 KiB" }),
  })
  .openapi("ApiCall");

/** A call in the API's form. */
export function presentCall(call: DestinationCall): z.infer<typeof apiCallSchema> {
  const answered = call.response_headers;
  return {
    ...call,
    started_at: instant(call.started_at),
    response_headers: answered === null ? null : withoutGaps(answered),
  };
}

function withoutGaps(
  given: NonNullable<DestinationCall["response_headers"]>,
): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(given).filter((each): each is [string, string | string[]] => each[1] !== undefined),
  );
}
