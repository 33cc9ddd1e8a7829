/** Optimistic concurrency: the version of a configured object as an ETag, and the version that an If-Match asks for. */
import type { Context } from "hono";
import { ApiRefusal } from "./apiErrors.ts";

/** A strong ETag, such as `"v3"`. */
export function etagOf(version: number): string {
  return `"v${version}"`;
}

/** Puts the ETag of a version on the answer. */
export function setEtag(context: Context, version: number): void {
  context.header("ETag", etagOf(version));
}

/**
 * The version that the request's If-Match names; null when there is none, or it takes any (`*`).
 * @throws ApiRefusal (412) for what is no ETag of ours: it can match nothing.
 */
export function expectedVersion(context: Context): number | null {
  const header = context.req.header("If-Match")?.trim();
  if (header === undefined || header === "*") return null;
  const [, digits] = /^(?:W\/)?"v(\d{1,9})"$/.exec(header) ?? [];
  // A proxy that compresses makes our tag a weak one; the version in it is the same.
  if (digits !== undefined) return Number(digits);
  throw new ApiRefusal(412, "If-Match is no ETag of this object: send the one that GET answered.");
}
