/** How the API tells what a change of a sync sends again. */
import { z } from "@hono/zod-openapi";
import type { ResendForecast } from "../../resendForecast.ts";

/** In the document. */
export const resendSchema = z
  .object({
    reasons: z.array(z.string()).openapi({ description: "why the next run is a full sync" }),
    rows: z.int().nullable().openapi({ description: "so many; null: every row of the source" }),
    unknown: z
      .string()
      .nullable()
      .openapi({ description: "why it cannot be told; then there may be rows or none" }),
  })
  .openapi("Resend", {
    description: "ours: rows that the next run sends again although they were accepted",
    example: { reasons: ["mapping_added"], rows: 48_210, unknown: null },
  });

/** As it is told; null when nothing is sent again. */
export function presentResend(forecast: ResendForecast | null): z.infer<typeof resendSchema> | null {
  if (forecast === null) return null;
  const { resend } = forecast;
  return "unknown" in resend
    ? { reasons: [], rows: null, unknown: resend.unknown }
    : { reasons: resend.reasons, rows: resend.rows, unknown: null };
}
