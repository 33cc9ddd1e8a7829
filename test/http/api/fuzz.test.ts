/** Every endpoint with what nobody should send: it is answered, never with a fault of ours, and nothing is half applied. */
import fc from "fast-check";
import { beforeAll, test } from "vitest";
import {
  documentOf,
  type Everything,
  everyOperation,
  makeEverything,
  type Operation,
  type Schema,
} from "./everyEndpoint.ts";
import { openSyncScene, type SyncScene } from "./syncScene.ts";

let scene: SyncScene;
let everything: Everything;
let operations: Operation[];
/** Those that the document names. */
let schemas: Readonly<Record<string, Schema>>;
/** A source that nothing is built on. */
let spare: number;

beforeAll(async () => {
  scene = await openSyncScene({ apiRequestsPerSecond: 0 });
  operations = await everyOperation(scene.egret.url);
  everything = await makeEverything(scene, "fuzzed");
  schemas = (await documentOf(scene.egret.url)).components.schemas;
  const { example } = operations.find(({ method, path }) => `${method} ${path}` === "POST /sources") ?? {};
  spare = (await scene.api.post("/sources", example)).body.data.id;
}, 120_000);

const LONGEST_ANSWER_MS = 30_000;
const RUNS = 25;

const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.constantFrom(
    "",
    "\u0000",
    "'; drop table egret.syncs; --",
    "{{ record['x'] }}",
    "../..",
    "9".repeat(40),
    "x".repeat(5_000),
  ),
);
const junk: fc.Arbitrary<unknown> = fc.oneof(
  text,
  fc.constantFrom(null, true, false, 0, -1, 1.5, 1e308, 2 ** 53 + 2, [], {}),
  fc.jsonValue({ maxDepth: 3 }),
);

/** What the document's schema of a body allows, with every field that it names, each of them right or anything. */
function ofSchema(schema: Schema, depth = 0): fc.Arbitrary<unknown> {
  const { $ref, anyOf, allOf, type, properties, items, enum: values, minimum = 0 } = schema;
  const either = (right: fc.Arbitrary<unknown>) =>
    fc.oneof({ weight: 4, arbitrary: right }, { weight: 1, arbitrary: junk });
  if (depth > 8) return junk;
  if ($ref !== undefined) return ofSchema(schemas[$ref.split("/").at(-1) ?? ""] ?? {}, depth + 1);
  const parts = anyOf ?? allOf;
  if (parts !== undefined) return fc.oneof(...parts.map((part) => ofSchema(part, depth + 1)));
  if (values !== undefined) return either(fc.constantFrom(...values));
  if (properties !== undefined) {
    const fields = Object.entries(properties).map(([name, part]) => [name, ofSchema(part, depth + 1)]);
    return either(fc.record(Object.fromEntries(fields), { requiredKeys: [] }));
  }
  switch (Array.isArray(type) ? type[0] : type) {
    case "array":
      return either(fc.array(ofSchema(items ?? {}, depth + 1), { maxLength: 3 }));
    case "object":
      return either(fc.dictionary(text, junk, { maxKeys: 3 }));
    case "integer":
    case "number":
      return either(fc.integer({ min: minimum, max: minimum + 100 }));
    case "boolean":
      return either(fc.boolean());
    default:
      return either(text);
  }
}

/** As the schema has it, or the example of the document with something in it replaced, left out or put in. */
function bodies({ example, schema }: Operation): fc.Arbitrary<unknown> {
  return schema === undefined ? junk : fc.oneof(ofSchema(schema), spoiled(example));
}

function spoiled(example: unknown): fc.Arbitrary<unknown> {
  if (typeof example !== "object" || example === null) return junk;
  const places = placesIn(example);
  if (places.length === 0) return junk;
  const change = fc.record({ place: fc.constantFrom(...places), value: junk, isGone: fc.boolean() });
  return fc.oneof(
    {
      weight: 4,
      arbitrary: fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => changed(example, changes)),
    },
    { weight: 1, arbitrary: junk },
  );
}

function placesIn(value: object, above: string[] = []): string[][] {
  return Object.entries(value).flatMap(([key, part]) => {
    const place = above.concat(key);
    const within = typeof part === "object" && part !== null ? placesIn(part as object, place) : [];
    return [place].concat(within);
  });
}

function changed(
  example: object,
  changes: readonly { place: readonly string[]; value: unknown; isGone: boolean }[],
): unknown {
  const copy = structuredClone(example) as Record<string, unknown>;
  for (const { place, value, isGone } of changes) {
    let holder: unknown = copy;
    for (const key of place.slice(0, -1)) holder = (holder as Record<string, unknown> | undefined)?.[key];
    if (typeof holder !== "object" || holder === null) continue;
    const last = place.at(-1) ?? "";
    if (isGone) delete (holder as Record<string, unknown>)[last];
    else (holder as Record<string, unknown>)[last] = value;
  }
  return copy;
}

const id = fc.oneof(
  { weight: 3, arbitrary: fc.constant(null) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "0",
      "-1",
      "1e3",
      "9007199254740993",
      "99999999999999999999",
      "abc",
      "%00",
      "%F0%9F%A6%A2",
      "1.5",
    ),
  },
);
const query = fc.dictionary(
  fc.constantFrom(
    "page",
    "per_page",
    "order",
    "cursor",
    "status",
    "state",
    "sync_id",
    "since",
    "limit",
    "refresh_key",
    "force_full_sync",
    "x",
  ),
  text,
  { maxKeys: 3 },
);

/** What is configured, as numbers of rows and sums of versions: a refused request moves none. */
async function configured(): Promise<string> {
  const tables = ["workspaces", "sources", "models", "destinations", "syncs", "webhooks"];
  const parts = tables.map(
    (table) => `(select count(*) || ':' || coalesce(sum(version), 0) from egret.${table})`,
  );
  const { rows } = await scene.egret.services.database.pool.query<{ all: string }>(
    `select concat_ws(' ', ${parts.join(", ")}) as all`,
  );
  return rows[0]?.all ?? "";
}

test("no endpoint fails, hangs or half applies what makes no sense", async () => {
  for (const operation of operations) {
    // What ends the objects that the others are tried with comes last.
    if (operation.method === "DELETE") continue;
    await fc.assert(
      fc.asyncProperty(bodies(operation), id, query, async (body, wrongId, asked) => {
        await tryOnce(operation, { body, wrongId, asked });
      }),
      { numRuns: operation.schema === undefined ? 4 : RUNS },
    );
  }
  for (const operation of operations.filter(({ method }) => method === "DELETE")) {
    await fc.assert(
      fc.asyncProperty(junk, id, query, (body, wrongId, asked) =>
        tryOnce(operation, { body, wrongId: wrongId ?? "0", asked }),
      ),
      { numRuns: 3 },
    );
  }
}, 600_000);

async function tryOnce(
  { method, path, token }: Operation,
  { body, wrongId, asked }: { body: unknown; wrongId: string | null; asked: Record<string, string> },
): Promise<void> {
  // A change that makes sense would cut the others off from their source.
  const isSpare = `${method} ${path}` === "PATCH /sources/{id}";
  // Ids of workspaces are filled with one that is there.
  const own = token === "personal" ? "1" : isSpare ? String(spare) : null;
  const filled = own === null ? everything.fill(path) : path.replace("{id}", own);
  const place = wrongId === null ? filled : path.replaceAll(/\{\w+\}/g, wrongId);
  const search = new URLSearchParams(asked).toString();
  const before = await configured();
  const answer = await fetch(`${scene.egret.url}/api/v1${place}?${search}`, {
    method,
    signal: AbortSignal.timeout(LONGEST_ANSWER_MS),
    headers: {
      Authorization: `Bearer ${token === "personal" ? scene.api.personalToken : scene.api.token}`,
      "Content-Type": "application/json",
    },
    ...(method === "GET" ? {} : { body: JSON.stringify(body) ?? "" }),
  });
  const said = await answer.text();
  const what = `${method} ${place}?${search} ${JSON.stringify(body)} -> ${answer.status} ${said.slice(0, 500)}`;
  if (answer.status >= 500) throw new Error(what);
  if (!(answer.headers.get("Content-Type") ?? "").startsWith("application/json")) throw new Error(what);
  const told = JSON.parse(said) as { status?: unknown; message?: unknown };
  if (answer.status < 400) return;
  if (typeof told.message !== "string" || told.status === undefined) throw new Error(what);
  if ((await configured()) !== before) throw new Error(`half applied: ${what}`);
}
