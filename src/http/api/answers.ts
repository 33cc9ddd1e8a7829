/** The envelope of every answer of the management API (behaviour.md 10.1; api-clients.md 2). */
import { z } from "@hono/zod-openapi";

/** `data` under the word that says what was done. */
export function envelope<W extends string, T extends z.ZodType>(word: W, data: T) {
  return z.object({ status: z.literal(word), data });
}

/** An answer that says only what was done. */
export function wordOnly<W extends string>(word: W) {
  return z.object({ status: z.literal(word) });
}

/** Body under `success`. */
export const success = <T>(data: T) => ({ status: "success" as const, data });
/** Body under `created`. */
export const created = <T>(data: T) => ({ status: "created" as const, data });
/** Body under `updated`. */
export const updated = <T>(data: T) => ({ status: "updated" as const, data });
/** Body of a deletion. */
export const deleted = () => ({ status: "deleted" as const });

/** Instants travel as RFC 3339 in UTC with milliseconds. */
export const instant = (at: Date): string => at.toISOString();
/** The same, or null. */
export const instantOrNull = (at: Date | null): string | null => (at === null ? null : at.toISOString());
