/** Optimistic concurrency: the versions of an object that a change of it was thought out for. */

/** Null: whichever stands. */
export type ExpectedVersions = readonly number[] | null;

/** Why the version that stands is none of them, or null when it is. */
export function versionFault(version: number, expected: ExpectedVersions): string | null {
  if (expected === null || expected.includes(version)) return null;
  return `it is at version ${version}, not ${expected.join(" or ")}`;
}
