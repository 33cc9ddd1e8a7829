/** What If-Match may say, and what is made of it. */
import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import { versionFault } from "../../../src/configuration/expectedVersions.ts";
import { ApiRefusal } from "../../../src/http/api/apiErrors.ts";
import { expectedVersions } from "../../../src/http/api/etag.ts";

/** The versions, or the status of the refusal. */
async function read(header: string | null): Promise<unknown> {
  const app = new Hono()
    .get("/", (context) => context.json({ versions: expectedVersions(context) }))
    .onError((error, context) => {
      if (!(error instanceof ApiRefusal)) throw error;
      return context.json({ versions: error.httpStatus });
    });
  const answer = await app.request("/", { headers: header === null ? {} : { "If-Match": header } });
  return ((await answer.json()) as { versions: unknown }).versions;
}

describe("If-Match", () => {
  test.each([
    [null, null],
    ["*", null],
    ['"v3"', [3]],
    ['W/"v3"', [3]],
    ['"v3", "v4"', [3, 4]],
    ['"v3",W/"v4" ,\t"v5"', [3, 4, 5]],
    // Elements of a list may be empty (RFC 9110, 5.6.1).
    [', "v3",, "v4",', [3, 4]],
    ['"other,with,commas", "v12"', [12]],
    ['"", "v1"', [1]],
    ['"é", "v2"', [2]],
  ])("of %s names the versions %j", async (header, versions) => {
    expect(await read(header)).toEqual(versions);
  });

  test.each([
    "yesterday",
    "v3",
    '"v3',
    '"v3", yesterday',
    '"v3", *',
    '"other"',
    '"v3x"',
    '"v-1"',
    '"v9999999999"',
    'w/"v3"',
    ",",
    '"v 3"',
  ])("of %s matches nothing", async (header) => {
    expect(await read(header)).toBe(412);
  });

  test("is met by any of its versions", () => {
    expect(versionFault(3, null)).toBe(null);
    expect(versionFault(3, [2, 3])).toBe(null);
    expect(versionFault(3, [2])).toBe("it is at version 3, not 2");
    expect(versionFault(3, [2, 4])).toBe("it is at version 3, not 2 or 4");
  });
});
