/** The health of a webhook or destination, as its deliveries found it. */
import { z } from "@hono/zod-openapi";
import type { Endpoint } from "../../../projections/endpoints.ts";
import { instantOrNull } from "../answers.ts";

export const healthSchema = z
  .object({
    state: z.enum(["healthy", "failing", "open", "probing", "disabled"]).openapi({
      description: "`open`: down for long, so what has not begun waits for the next probe",
    }),
    since: z.iso.datetime().nullable().openapi({ description: "first failure of the present outage" }),
    consecutive_failures: z.int(),
    outages: z.int(),
    last_error: z.string().nullable(),
    last_http_status: z.int().nullable(),
    next_probe_at: z.iso.datetime().nullable(),
  })
  .openapi("Health");

/** Null throughout for one that was never seen failing. */
export type HealthRow = {
  [K in
    | "state"
    | "since"
    | "consecutive_failures"
    | "outages"
    | "last_error"
    | "last_http_status"
    | "next_probe_at"]: Endpoint[K] | null;
};

/** The health as clients read it. */
export function presentHealth(row: HealthRow): z.infer<typeof healthSchema> {
  return {
    state: row.state ?? "healthy",
    since: instantOrNull(row.since),
    consecutive_failures: row.consecutive_failures ?? 0,
    outages: row.outages ?? 0,
    last_error: row.last_error,
    last_http_status: row.last_http_status,
    next_probe_at: instantOrNull(row.next_probe_at),
  };
}
