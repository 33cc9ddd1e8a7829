/** A preview shows what a run then sends, to the letter: for every kind of destination, operation and payload. */
import { beforeAll, describe, expect, test } from "vitest";
import type { Destination, Mapping, Operation, Sync } from "../../src/domain/configuration.ts";
import { httpRequestSettings } from "../../src/domain/httpRequestDestination.ts";
import { oneRowRequest, previewSync } from "../../src/engine/preview.ts";
import { readBatch } from "../../src/engine/settle.ts";
import { type EngineFixture, makeSync, openEngine } from "./fixture.ts";

/** When the fixture's runs begin. */
const AT = new Date("2026-02-03T10:00:00.123Z");
const MAPPINGS: Mapping[] = [
  { column: "id", to: "unique_id", key: true },
  { column: "plan", to: "plan" },
  { template: "{{ record['plan'] | upcase }}!", to: "shout" },
  { constant: 7, to: "fixed" },
];

let engine: EngineFixture;
let lastSync = 0;
beforeAll(async () => {
  engine = await openEngine();
  await engine.onSource(`create table people (id text, plan text);
    insert into people values ('b/1', 'pro'), ('a', 'trial'), ('..', 'pro'), (null, 'x'), ('c', 'fr"ee')`);
});

function syncOf(operation: Operation, destination?: Destination): Sync {
  lastSync += 1;
  const made = makeSync({ sourceUrl: engine.sourceUrl, syncId: lastSync, operation, mappings: MAPPINGS });
  return destination === undefined ? made : { ...made, destination };
}

const api = (settings: Record<string, unknown>): Destination => ({
  id: 6,
  workspaceId: 1,
  name: "CRM",
  type: "http_request",
  settings: httpRequestSettings.parse({ url: "http://127.0.0.1:1/v2", ...settings }),
  secrets: {},
});

/** The requests of a first run, as they stand for whoever sends them. */
async function requestsOfRun(sync: Sync): Promise<{ body: string; request: string | null; rows: number }[]> {
  const { runId, batches } = await engine.plan(sync);
  const found = [];
  for (let batchNo = 1; batchNo <= batches; batchNo += 1) {
    const batch = await readBatch(engine.database.pool, runId, batchNo);
    if (batch === null) throw new Error(`there is no batch ${batchNo}`);
    found.push({ body: batch.body?.toString() ?? "", request: batch.request, rows: batch.records });
  }
  return found;
}

const byRow = { path: "/contacts/{{ record['unique_id'] }}", method: "PUT" };
const inBatches = {
  batch_size: 3,
  path: "/contacts",
  payload: { json: "[{% for each in records %}{{ each.unique_id | json }},{% endfor %}]" },
};

describe("a preview", () => {
  test.each<[string, Operation, Destination | undefined]>([
    ["upsert to a webhook", "upsert", undefined],
    ["append to a webhook", "append", undefined],
    ["mirror to a webhook", "mirror", undefined],
    ["upsert row by row", "upsert", api(byRow)],
    ["update as a form", "update", api({ ...byRow, payload: "form", method: "PATCH" })],
    ["insert in batches", "insert", api(inBatches)],
    ["mirror without a body", "mirror", api({ ...byRow, payload: "empty", method: "GET" })],
    ["delete row by row", "delete", api(byRow)],
  ])("of an %s is what the run sends", async (_what, operation, destination) => {
    const sync = syncOf(operation, destination);
    const preview = await previewSync({ sync, runId: 0, at: AT }, 100);
    const shown = preview.requests.map(({ body, request, rows }) => ({
      body: body.toString(),
      request,
      rows,
    }));
    expect(shown.length).toBeGreaterThan(0);
    expect(shown).toEqual(await requestsOfRun(sync));
  });

  test("has no more rows than it was asked for, and says which of those would be set aside", async () => {
    const sync = syncOf("upsert", api(byRow));
    const { requests, invalid } = await previewSync({ sync, runId: 0, at: AT }, 4);
    expect(requests.map(({ keys }) => keys)).toEqual([["b/1"], ["a"]]);
    expect(invalid.toSorted()).toEqual(["NULL", expect.stringContaining("The path failed")]);
  });

  test("of one row is the first by key that can be sent, or the row with a key", async () => {
    const sync = syncOf("upsert", api(byRow));
    const first = await oneRowRequest({ sync, runId: 0, at: AT }, null);
    // ".." comes first, and makes no path.
    expect(JSON.parse(first.request ?? "")).toMatchObject({ method: "PUT", path: "/contacts/a" });
    const asked = await oneRowRequest({ sync, runId: 0, at: AT }, "b/1");
    expect(JSON.parse(asked.request ?? "")).toMatchObject({ path: "/contacts/b%2F1" });
    expect(JSON.parse(asked.body.toString())).toEqual({
      unique_id: "b/1",
      plan: "pro",
      shout: "PRO!",
      fixed: 7,
    });
    await expect(oneRowRequest({ sync, runId: 0, at: AT }, "..")).rejects.toMatchObject({
      message: expect.stringContaining("The path failed") as string,
    });
  });
});
