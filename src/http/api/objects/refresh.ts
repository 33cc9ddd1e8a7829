/** A refresh of what is known of a source, as clients begin it and ask for it. */
import { z } from "@hono/zod-openapi";

/** Flat, as clients of these routes have it. */
export const sourceRefreshSchema = z
  .object({ refresh_key: z.int().openapi({ description: "for the status of this refresh" }) })
  .openapi("SourceRefresh");

/** How far it is. A refresh ends within the request that asks for it, so that nothing is left to wait for. */
export const sourceRefreshStatusSchema = z
  .object({
    status: z.enum(["processing", "completed"]),
    succeeded: z.boolean().openapi({ description: "false: what was known before still stands" }),
    message: z.string().nullable().openapi({ description: "why it did not succeed" }),
  })
  .openapi("SourceRefreshStatus");

/** Query of the status. */
export const refreshQuery = z.object({
  refresh_key: z
    .string()
    .regex(/^[1-9]\d{0,15}$/, { error: "Give the `refresh_key` that the refresh answered." })
    .transform(Number)
    .optional()
    .openapi({ type: "integer", description: "left out: the last one" }),
});
