/** Optimistic concurrency: the version of a configured object as an ETag, and the versions that an If-Match asks for. */
import type { Context } from "hono";
import type { ExpectedVersions } from "../../configuration/expectedVersions.ts";
import { ApiRefusal } from "./apiErrors.ts";

/** A strong ETag, such as `"v3"`. */
export function etagOf(version: number): string {
  return `"v${version}"`;
}

/** Puts the ETag of a version on the answer. */
export function setEtag(context: Context, version: number): void {
  context.header("ETag", etagOf(version));
}

/** One of a list; it may hold commas, but no quotes. Source: RFC 9110, 8.8.3. */
const ENTITY_TAG = /(?:W\/)?"([!#-~\u0080-\u00ff]*)"/g;

/**
 * The versions that the request's If-Match names, one or a list (RFC 9110, 13.1.1); null when there is none, or it takes
 * any (`*`).
 * @throws ApiRefusal (412) for what holds no ETag of ours: it can match nothing.
 */
export function expectedVersions(context: Context): ExpectedVersions {
  const header = context.req.header("If-Match")?.trim();
  if (header === undefined || header === "*") return null;
  const isList = /^[\t ,]*$/.test(header.replaceAll(ENTITY_TAG, ""));
  // A proxy that compresses makes our tag a weak one, which by the letter matches nothing: the version in it is the same.
  const versions = [...header.matchAll(ENTITY_TAG)].flatMap(([, tag = ""]) => {
    const digits = /^v(\d{1,9})$/.exec(tag)?.[1];
    return digits === undefined ? [] : Number(digits);
  });
  if (isList && versions.length > 0) return versions;
  throw new ApiRefusal(412, "If-Match has no ETag of this object: send the one that GET answered.");
}
