import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toJsonPayload } from "../../src/destinations/jsonPayload.ts";
import { type MadeRequest, requestMaker } from "../../src/destinations/requestMaker.ts";
import type { HttpRequestDestination } from "../../src/domain/configuration.ts";
import { httpRequestSettings } from "../../src/domain/httpRequestDestination.ts";
import { configuredPathFault, joinUrl, readPath } from "../../src/domain/requestPath.ts";

function destination(settings: Record<string, unknown>): HttpRequestDestination {
  return {
    id: 6,
    workspaceId: 1,
    name: "CRM",
    type: "http_request",
    settings: httpRequestSettings.parse({ url: "https://api.example.com/v2", ...settings }),
    secrets: {},
  };
}

const bytes = (...records: (object | string)[]) =>
  records.map((record) => Buffer.from(typeof record === "string" ? record : JSON.stringify(record)));
const make = (settings: Record<string, unknown>, ...records: (object | string)[]): MadeRequest =>
  requestMaker(destination(settings), false).make(bytes(...records));
const bodyOf = (made: MadeRequest): string => {
  if (!made.ok) throw new Error(made.message);
  return made.body.toString();
};

describe("a request made from a record", () => {
  test("holds every field as JSON, digit by digit, when nothing else is asked for", () => {
    const record = '{"unique_id":12345678901234567890,"a": 1.50}';
    expect(make({ path: "/rows" }, record)).toEqual({
      ok: true,
      body: Buffer.from(record),
      request: { method: "POST", path: "/rows", contentType: "application/json; charset=utf-8" },
    });
  });

  test("holds a form, in which null is empty and what is nested is JSON", () => {
    const made = make(
      { payload: "form", method: "PUT" },
      { "a b": "c&d=é", n: null, list: [1, { x: 2 }], on: true },
    );
    expect(bodyOf(made)).toBe("a+b=c%26d%3D%C3%A9&n=&list=%5B1%2C%7B%22x%22%3A2%7D%5D&on=true");
    expect(made).toMatchObject({
      request: { method: "PUT", contentType: "application/x-www-form-urlencoded" },
    });
  });

  test("holds nothing when it is to be empty", () => {
    expect(
      make({ payload: "empty", method: "GET", path: "/ping?id={{ record.unique_id }}" }, { unique_id: 7 }),
    ).toEqual({
      ok: true,
      body: Buffer.alloc(0),
      request: { method: "GET", path: "/ping?id=7", contentType: null },
    });
  });

  test("holds the JSON of one field, whether as a text or nested", () => {
    const settings = { payload: { field: "doc" } };
    expect(bodyOf(make(settings, { doc: '{"a":1.0}' }))).toBe('{"a":1.0}');
    expect(bodyOf(make(settings, { doc: { a: [1] } }))).toBe('{"a":[1]}');
    expect(make(settings, { doc: null })).toEqual({ ok: false, message: "The payload failed: doc is empty" });
    expect(make(settings, { doc: "s3cret: [" })).toEqual({
      ok: false,
      message: "The payload failed: doc holds no JSON",
    });
  });

  test("holds what a template writes, texts escaped where they stand", () => {
    const settings = {
      payload: {
        json: '{"name": "{{ record.name }}", "tags": {{ record.tags | json }}, "n": {{ record.n }} }',
      },
    };
    const record = { name: 'a"b\\\n\u2028', tags: ["x", null], n: 3 };
    expect(JSON.parse(bodyOf(make(settings, record)))).toEqual(record);
  });

  test("whatever its texts hold, is the JSON that the template's author meant", () => {
    const settings = { payload: { json: '{"name": "{{ record.name }}", "fixed": true}' } };
    const maker = requestMaker(destination(settings), false);
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (name) => {
        const made = maker.make(bytes({ name }));
        expect(JSON.parse(bodyOf(made))).toEqual({ name, fixed: true });
      }),
    );
  });

  test("fails with words that hold no value", () => {
    const made = make({ payload: { json: '{"a": {{ record.secret }}' } }, { secret: "[hunter2" });
    expect(made).toMatchObject({ ok: false });
    expect(JSON.stringify(made)).not.toContain("hunter2");
    expect(make({ payload: { json: "{{ record.gone }}" } }, { a: 1 })).toMatchObject({ ok: false });
  });

  test("is made for many records where the batch size allows it, and for one where the path is the row's", () => {
    const payload = { json: "[{% for each in records %}{{ each.unique_id }},{% endfor %}]" };
    expect(requestMaker(destination({ payload, batch_size: 50 }), false).recordsPerRequest).toBe(50);
    expect(bodyOf(make({ payload, batch_size: 50 }, { unique_id: 1 }, { unique_id: 2 }))).toBe("[1,2]");
    const byRow = { path: "/a/{{ record.unique_id }}", batch_size: 50 };
    expect(requestMaker(destination(byRow), false).recordsPerRequest).toBe(1);
    expect(requestMaker(destination({ payload: "form", batch_size: 50 }), false).recordsPerRequest).toBe(1);
  });

  test("for a deleted row has a method, a path and a payload of its own", () => {
    const settings = { path: "/contacts/{{ record.unique_id }}", method: "PUT" };
    const made = (more: object) =>
      requestMaker(destination({ ...settings, ...more }), true).make(bytes({ unique_id: "k 1" }));
    expect(made({})).toEqual({
      ok: true,
      body: Buffer.alloc(0),
      request: { method: "DELETE", path: "/contacts/k%201", contentType: null },
    });
    const own = { delete_method: "POST", delete_path: "/contacts/delete", delete_payload: "columns" };
    expect(made(own)).toMatchObject({
      ok: true,
      body: Buffer.from('{"unique_id":"k 1"}'),
      request: { method: "POST", path: "/contacts/delete" },
    });
  });
});

describe("a path made from a record", () => {
  const base = "https://api.example.com/v2";
  const path = (text: string, record: object) => readPath(base, text).render(record);

  test("leads below the base and has as many parts as it was written with, whatever the record holds", () => {
    const render = (id: string) => path("/contacts/{{ record.id }}/notes?by={{ record.id }}", { id });
    const nasty = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.string(),
      fc.constantFrom(
        "..",
        ".",
        "%2e%2e",
        "../..",
        "//evil.example",
        "@evil.example",
        "a?b#c",
        "\\\\x",
        "a\r\nHost: b",
        "\t",
        " ",
      ),
    );
    fc.assert(
      fc.property(nasty, (id) => {
        const rendered = render(id);
        if (!rendered.ok) return;
        const url = new URL(joinUrl(base, rendered.text));
        expect(url.host).toBe("api.example.com");
        const parts = url.pathname.split("/");
        expect(parts.slice(0, 3)).toEqual(["", "v2", "contacts"]);
        expect(parts).toHaveLength(5);
        expect(parts[4]).toBe("notes");
        expect(decodeURIComponent(parts[3] ?? "")).toBe(id);
        expect([...url.searchParams]).toEqual([["by", id]]);
        expect(url.hash).toBe("");
      }),
      { numRuns: 500 },
    );
  });

  test.each(["..", ".", "", null])("is none for the value %j, which would be another's address", (id) => {
    expect(path("/contacts/{{ record.id }}", { id })).toMatchObject({ ok: false });
  });

  test("encodes what filters make, raw or not", () => {
    expect(path("/c/{{ record.id | raw }}/{{ record.id | append: '/x' }}", { id: "a/b" })).toEqual({
      ok: true,
      text: "/c/a%2Fb/a%2Fb%2Fx",
    });
    expect(path("/c/{{ record.id | json }}", { id: "a" })).toEqual({ ok: true, text: "/c/%22a%22" });
  });

  test.each([
    ["/contacts", null],
    ["/contacts/{{ record['id'] }}?x={{ record.y }}", null],
    ["", null],
    ["?a=b", null],
    ["contacts", /begin with/],
    ["/a b", /encoded/],
    ["/a#b", /encoded/],
    ["/a/../b", /encoded/],
    ["//b", /empty/],
  ])("is looked at when it is configured: %j", (text, fault) => {
    const found = configuredPathFault(base, text);
    if (fault === null) expect(found).toBeNull();
    else expect(found).toMatch(fault);
  });
});

describe("what a payload template writes", () => {
  test.each([
    ['{"a":1.50,"b":12345678901234567890}', '{"a":1.50,"b":12345678901234567890}'],
    ['{"a": [1, 2,], }', '{"a":[1,2]}'],
    ["a: x\nb:\n  - 12345678901234567890\n  - no\n", '{"a":"x","b":[12345678901234567890,"no"]}'],
  ])("%j is sent as %s", (text, sent) => {
    expect(toJsonPayload(text)).toEqual({ ok: true, text: sent });
  });

  test.each(["", "  \n", '{"a": [', "a: .inf", "a: &x [1]\n<<: {", '{"a":1,"a":2,}'])(
    "%j is not sent",
    (text) => {
      expect(toJsonPayload(text)).toMatchObject({ ok: false });
    },
  );
});
