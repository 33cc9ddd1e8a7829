import { describe, expect, test } from "vitest";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { InvalidInput } from "../../src/domain/errors.ts";
import { LIFECYCLE_EVENTS } from "../../src/domain/lifecycle.ts";
import { syncOptionsSchema } from "../../src/domain/syncOptions.ts";

const env = { WAREHOUSE_URL: "postgres://u:hunter2@db:5433/wh", OPS_TOKEN: "Bearer hunter2", EMPTY: "" };
const options = { env, allowHttp: false };
const parse = (text: string) => parseEgretFile(text, "egret.yaml", options);

/** The messages of a file that is refused, each after its field. */
function faults(text: string, more: { allowHttp?: boolean } = {}): string[] {
  try {
    parseEgretFile(text, "egret.yaml", { ...options, ...more });
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidInput);
    const { message, problems } = error as InvalidInput;
    expect(message).toMatch(/^egret\.yaml has \d+ problems?; nothing was applied$/);
    expect(JSON.stringify(problems)).not.toContain("hunter2");
    return problems.map((problem) => `${problem.field} | ${problem.message}`);
  }
  throw new Error("the file was taken");
}

const HEAD = `workspace: demo
sources:
  warehouse: { type: postgres, url: \${WAREHOUSE_URL} }
models:
  airports: { source: warehouse, query: "select * from airports" }
destinations:
  ops_hook: { type: webhook, url: https://ops.example/in }
`;
const sync = (fields: string) => `${HEAD}syncs:\n  a: { ${fields} }\n`;

const url = (value: string) => `workspace: demo\nsources:\n  w: { type: postgres, url: ${value} }\n`;
const filled = (value: string) => parse(url(value)).sources[0]?.url;
const webhook = (endpoint: string) => `workspace: demo\nwebhooks:\n  w: { endpoint: "${endpoint}" }\n`;

describe("egret.yaml", () => {
  test("declares sources, models, destinations, syncs and webhooks", () => {
    const file = parse(`# yaml-language-server: $schema=./docs/egret.schema.json
workspace: demo
sources:
  warehouse: { type: postgres, url: \${WAREHOUSE_URL} }
models:
  airports: { source: warehouse, query: "select * from airports" }
destinations:
  ops_hook: { type: webhook, url: https://ops.example/in, batch_size: 500, auth_token: \${OPS_TOKEN} }
syncs:
  airports_to_ops:
    label: Airports
    model: airports
    destination: ops_hook
    key: iata
    mappings:
      - name
      - { column: city, to: town }
      - { constant: airport, to: kind }
      - { constant: null, to: nothing }
  everything: { table: public.airports, source: warehouse, destination: ops_hook, operation: upsert, key: iata }
webhooks:
  pager: { description: failures, endpoint: https://pager.example/in, events: [sync.failed, sync.started] }
  all: { endpoint: https://all.example/in, enabled: false, auto_disable_after_exhausted: 3, disable_on_gone: true, honor_retry_after: true }
`);
    expect(file).toMatchObject({
      workspace: "demo",
      sources: [{ name: "warehouse", type: "postgres", url: env.WAREHOUSE_URL }],
      models: [{ name: "airports", source: "warehouse", query: "select * from airports" }],
      destinations: [
        {
          name: "ops_hook",
          settings: { url: "https://ops.example/in", method: "POST", batch_size: 500, timeout_seconds: 30 },
          secrets: { auth_token: "Bearer hunter2" },
        },
      ],
      warnings: [],
    });
    expect(file.syncs).toEqual([
      {
        name: "airports_to_ops",
        label: "Airports",
        source: "warehouse",
        object: { type: "model", model: "airports" },
        destination: "ops_hook",
        operation: "upsert",
        key: "iata",
        mappings: [
          { at: 0, mapping: { column: "name", to: "name" } },
          { at: 1, mapping: { column: "city", to: "town" } },
          { at: 2, mapping: { constant: "airport", to: "kind" } },
          { at: 3, mapping: { constant: null, to: "nothing" } },
        ],
        options: syncOptionsSchema.parse({}),
      },
      expect.objectContaining({
        name: "everything",
        label: null,
        object: { type: "table", schema: "public", table: "airports" },
        mappings: null,
      }),
    ]);
    expect(file.webhooks).toEqual([
      {
        name: "pager",
        description: "failures",
        endpoint: "https://pager.example/in",
        events: ["sync.started", "sync.failed"],
        enabled: true,
        autoDisableAfterExhausted: null,
        disableOnGone: false,
        honorRetryAfter: false,
      },
      {
        name: "all",
        description: null,
        endpoint: "https://all.example/in",
        events: [...LIFECYCLE_EVENTS],
        enabled: false,
        autoDisableAfterExhausted: 3,
        disableOnGone: true,
        honorRetryAfter: true,
      },
    ]);
  });

  test("takes empty sections and an alias", () => {
    const file = parse(
      "workspace: demo\nsyncs:\nsources:\n  a: &a { type: postgres, url: postgres://h/d }\n  b: *a\n",
    );
    expect(file.sources.map(({ name, url }) => [name, url])).toEqual([
      ["a", "postgres://h/d"],
      ["b", "postgres://h/d"],
    ]);
  });

  test("keeps names apart that JavaScript knows", () => {
    const text = "workspace: demo\nmodels:\n  toString: { source: constructor, query: select 1 }\n";
    expect(faults(text)).toEqual([
      'models.toString.source | egret.yaml:3:23: There is no source "constructor". The file has no sources.',
    ]);
    expect(faults("workspace: demo\n__proto__: { a: 1 }\n")).toEqual([
      " | egret.yaml:1:1: A key is a plain word.",
    ]);
  });
});

describe("${NAME} in egret.yaml", () => {
  test("is filled bare, in quotes, within a text, and by its default", () => {
    expect(filled("${WAREHOUSE_URL}")).toBe(env.WAREHOUSE_URL);
    expect(filled('"${WAREHOUSE_URL}"')).toBe(env.WAREHOUSE_URL);
    expect(filled("'${WAREHOUSE_URL}?x=1'")).toBe(`${env.WAREHOUSE_URL}?x=1`);
    expect(filled("${NONE:-postgres://h/a,b}")).toBe("postgres://h/a,b");
    expect(filled("${EMPTY:-postgres://h/d}")).toBe("postgres://h/d");
    expect(filled("postgres://h/$${X}")).toBe("postgres://h/${X}");
  });

  test("leaves letters of the private use area alone", () => {
    const text =
      'workspace: demo\nwebhooks:\n  w: { endpoint: https://h.example, description: "\uf021 \uf07b ${EMPTY:-x}" }\n';
    expect(parse(text).webhooks[0]?.description).toBe("\uf021 \uf07b x");
  });

  test("is not read again when the value holds one", () => {
    const file = parseEgretFile(url("${A}"), "f", { env: { A: "postgres://h/${B}" }, allowHttp: false });
    expect(file.sources[0]?.url).toBe("postgres://h/${B}");
  });

  test("names variable, file and line when it is not set, once", () => {
    expect(faults(url("${NONE}"))).toEqual([
      "sources.w.url | egret.yaml:3:29: The environment variable NONE is not set; set it, or write ${NONE:-default}.",
    ]);
    expect(faults(url("postgres://${EMPTY}/${NO-NAME}"))).toEqual([
      expect.stringContaining("The environment variable EMPTY is not set"),
      expect.stringContaining("${NO-NAME} is not of the form ${NAME}"),
    ]);
  });

  test("is advised where a secret stands in the file", () => {
    const file = parse(`workspace: demo
sources:
  w: { type: postgres, url: "postgres://u:p@h/d" }
destinations:
  d: { type: webhook, url: https://d.example, auth_token: abc, signing_secret: "\${OPS_TOKEN}" }
`);
    expect(file.warnings.map(({ field, message }) => `${field} | ${message}`)).toEqual([
      "sources.w.url | egret.yaml:3:29: A password stands in the file; give it by ${NAME}.",
      "destinations.d.auth_token | egret.yaml:5:59: A secret stands in the file; give it by ${NAME}.",
    ]);
  });
});

describe("I12: a faulty egret.yaml", () => {
  test.each([
    ["a: [1\nb: 2", "egret.yaml:2:1: not valid YAML: "],
    ["a: 1\na: 2", "egret.yaml:2:1: not valid YAML: Map keys must be unique"],
    ["a: 1\n---\nb: 2", "not valid YAML: "],
    ["url: {a: ${B}, c: ]}", "egret.yaml:1:19: not valid YAML: "],
    ["", "egret.yaml:1:1: The file is empty; begin with a line such as `workspace: demo`."],
    ["# nothing\n", "The file is empty"],
    ["- a", "egret.yaml:1:1: Expected a map, found a list."],
    ["a: *b", "egret.yaml:1:4: The anchor &b is not defined above this line."],
    ["a: &a [*a, *a]", "The file nests too deeply"],
    ["workspace: 7", "workspace | egret.yaml:1:12: Expected a text, found a number. Put it in quotes."],
    ["sources: {}", "workspace | egret.yaml:1:1: Is missing; add it: a text."],
  ])("says of %j where it is wrong", (text, message) => {
    expect(faults(text).join("\n")).toContain(message);
  });

  test("tells every fault at once, in the order of lines", () => {
    expect(
      faults(`workspace: demo
source: {}
sources:
  warehouse: { type: postgress, url: \${NONE} }
  9bad: { type: postgres, url: postgres://h/d }
models:
  airports: { source: warehose, qurey: "select 1" }
  runways: { source: warehose, query: "select 1" }
destinations:
  ops_hook: { type: webhook, url: nope, batch_size: 0, methd: PUT }
syncs:
  a: { model: airport, destination: ops_hook, key: k, operation: upsrt, mappings: [n, { colum: c, to: t }, 5] }
webhooks:
  pager: { endpoint: https://p.example, events: [sync.faild, foo] }
  none: { endpoint: https://p.example, events: [] }
`),
    ).toEqual([
      'source | egret.yaml:2:1: Unknown key "source". Did you mean "sources"?',
      'sources.warehouse.type | egret.yaml:4:22: "postgress" is not known. Did you mean "postgres"? Known: postgres.',
      "sources.warehouse.url | egret.yaml:4:38: The environment variable NONE is not set; set it, or write ${NONE:-default}.",
      "sources.9bad | egret.yaml:5:3: A name is a letter, then up to 62 letters, digits or underscores.",
      "models.airports.query | egret.yaml:7:13: Is missing; add it: a text.",
      'models.airports.qurey | egret.yaml:7:33: Unknown key "qurey". Did you mean "query"?',
      'models.runways.source | egret.yaml:8:22: There is no source "warehose". Did you mean "warehouse"?',
      "destinations.ops_hook.url | egret.yaml:10:35: Write a whole address, as in https://example.com/path.",
      expect.stringContaining("destinations.ops_hook.batch_size | egret.yaml:10:53: "),
      'destinations.ops_hook.methd | egret.yaml:10:56: Unknown key "methd". Did you mean "method"?',
      'syncs.a.operation | egret.yaml:12:66: "upsrt" is not known. Did you mean "upsert"? Known: upsert, update, insert, append, mirror, delete.',
      "syncs.a.mappings[1] | egret.yaml:12:87: A mapping has one of `column`, `constant`, `template` and `metadata`.",
      'syncs.a.mappings[1].colum | egret.yaml:12:89: Unknown key "colum". Did you mean "column"?',
      "syncs.a.mappings[2] | egret.yaml:12:108: Write a column name, or a map with `column` and `to`.",
      `webhooks.pager.events[0] | egret.yaml:14:50: "sync.faild" is not known. Did you mean "sync.failed"? Known: ${LIFECYCLE_EVENTS.join(", ")}.`,
      `webhooks.pager.events[1] | egret.yaml:14:62: "foo" is not known. Known: ${LIFECYCLE_EVENTS.join(", ")}.`,
      "webhooks.none.events | egret.yaml:15:48: Name at least one event, or leave `events` out for all of them.",
    ]);
  });

  test.each([
    [
      "model: airport, destination: ops_hook, key: k",
      'There is no model "airport". Did you mean "airports"?',
    ],
    ["model: zzz, destination: ops_hook, key: k", 'There is no model "zzz". Known: airports.'],
    ["model: airports, destination: ops, key: k", 'There is no destination "ops". Known: ops_hook.'],
    [
      "table: public.a, source: wh, destination: ops_hook, key: k",
      'There is no source "wh". Known: warehouse.',
    ],
    ["table: public.a, destination: ops_hook, key: k", "A table needs its `source`."],
    ["table: airports, source: warehouse, destination: ops_hook, key: k", "Write the table with its schema"],
    [
      "destination: ops_hook, key: k",
      "Name what to read: a `model`, or a `table` together with its `source`.",
    ],
    ["model: airports, table: a.b, source: warehouse, destination: ops_hook, key: k", "not both; remove one"],
    [
      "model: airports, destination: ops_hook, key: k, mappings: [a, { constant: 1, to: a }]",
      'The field "a" is already filled by mappings[0]',
    ],
    [
      "model: airports, destination: ops_hook, key: k, mappings: [unique_id]",
      'The field "unique_id" is taken: the key "k" travels under that name',
    ],
    [
      "model: airports, destination: ops_hook, key: k, operation: replace",
      '"replace" is not known. Known: upsert, update, insert, append, mirror, delete.',
    ],
    ["model: airports, destination: ops_hook", "syncs.a.key | egret.yaml:9:6: Is missing; add it: a text."],
  ])("refuses a sync with { %s }", (fields, message) => {
    expect(faults(sync(fields)).join("\n")).toContain(message);
  });

  test("lets the key be mapped a second time under its own name", () => {
    const file = parse(sync("model: airports, destination: ops_hook, key: iata, mappings: [iata]"));
    expect(file.syncs[0]?.mappings).toHaveLength(1);
  });

  test("refuses http and loopback endpoints of webhooks unless they are allowed", () => {
    expect(faults(webhook("http://p.example/in"))).toEqual([
      "webhooks.w.endpoint | egret.yaml:3:18: Must begin with https:// (for development, set EGRET_ALLOW_HTTP=true).",
    ]);
    for (const host of [
      "localhost",
      "a.localhost",
      "127.0.0.1",
      "127.1",
      "[::1]",
      "[::ffff:127.0.0.1]",
      "localhost.",
    ]) {
      expect(faults(webhook(`https://${host}:8080/in`))).toEqual([
        expect.stringContaining("Leads to a loopback address"),
      ]);
    }
    const allowed = { env, allowHttp: true };
    expect(parseEgretFile(webhook("http://127.0.0.1:1/in"), "f", allowed).webhooks).toHaveLength(1);
    expect(faults(webhook("https://u:hunter2@p.example/in"), { allowHttp: true })).toEqual([
      expect.stringContaining("Must not hold a user or a password"),
    ]);
    expect(faults(webhook("ftp://p.example/in"))).toEqual([expect.stringContaining("Write a whole address")]);
  });
});
