/** Parts of the queries of several lists. */
import { z } from "@hono/zod-openapi";

/** An id of a query. */
export const idText = z
  .string()
  .regex(/^[1-9]\d{0,14}$/, { error: "Give an id." })
  .transform(Number)
  .openapi({ type: "integer" });

/** An instant of a query: RFC 3339 with a zone. */
const instantText = z.iso
  .datetime({ offset: true, error: "Give an instant such as 2026-02-03T14:00:00Z." })
  .transform((text) => new Date(text))
  .refine((at) => at.getUTCFullYear() >= 1970 && at.getUTCFullYear() <= 9999, {
    error: "Give a year from 1970 to 9999.",
  });

/** A span of time, for the instants at which things were made. */
export const spanShape = {
  since: instantText
    .optional()
    .openapi({ type: "string", format: "date-time", description: "created then or later" }),
  until: instantText
    .optional()
    .openapi({ type: "string", format: "date-time", description: "created before" }),
};
