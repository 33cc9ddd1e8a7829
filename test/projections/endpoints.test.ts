import { afterAll, beforeEach, describe, expect, test } from "vitest";
import type { EndpointFact } from "../../machines/endpoint.ts";
import { openDatabase } from "../../src/projections/database.ts";
import { listEndpoints } from "../../src/projections/endpoints.ts";
import { projectBatch } from "../../src/projections/projectEvents.ts";
import { rebuildReadModels } from "../../src/projections/rebuild.ts";
import { endpointHistory } from "../support/endpointHistory.ts";
import { EPOCH_MS, stored } from "../support/events.ts";
import { testDatabase } from "../support/namespace.ts";
import { ArraySource } from "./arraySource.ts";
import { dump, empty } from "./dump.ts";

const { url } = await testDatabase({ migrated: true });
const database = openDatabase(url);
const { db, pool } = database;
const client = await pool.connect();
const source = new ArraySource();

afterAll(async () => {
  client.release();
  await database.close();
});
beforeEach(() => empty(pool));

const OPEN: EndpointFact[] = [{ type: "failures.repeated" }, { type: "failures.lasted" }];
const BACK: EndpointFact[] = [{ type: "probe.begun", probe: 1 }, { type: "target.accepted" }];

const project = (facts: EndpointFact[], from = 0, to = 99) =>
  projectBatch(client, {
    stream: "runs",
    streamCreated: source.created,
    events: stored(endpointHistory({ facts })).slice(from, to),
  });
const row = async () => (await dump(pool))["endpoints"]?.[0];

describe("the read model of endpoints", () => {
  test("shows an open circuit with its outage, its last error and its next probe", async () => {
    await project(OPEN);
    expect(await row()).toMatchObject({
      target_kind: "webhook",
      target_id: 4,
      workspace_id: 12,
      state: "open",
      version: 3,
      since: new Date(EPOCH_MS),
      last_error: "HTTP 503",
      last_http_status: 503,
      next_probe_at: new Date(EPOCH_MS + 33_000),
      outages: 1,
      reason: null,
    });
  });

  test("counts outages, not the states of one, whatever batches its events come in", async () => {
    const facts = [...OPEN, ...BACK, ...OPEN, ...BACK, ...OPEN];
    await project(facts);
    const atOnce = await row();
    expect(atOnce).toMatchObject({ state: "open", outages: 3 });
    await empty(pool);
    for (let at = 0; at <= facts.length; at += 2) await project(facts, at, at + 2);
    expect(await row()).toEqual(atOnce);
  });

  test("keeps the last error after a recovery, and nothing else of the outage", async () => {
    await project([...OPEN, ...BACK]);
    expect(await row()).toMatchObject({
      state: "healthy",
      since: null,
      consecutive_failures: 0,
      next_probe_at: null,
      last_error: "HTTP 503",
      outages: 1,
    });
  });

  test("says why a target is disabled, and counts that as an outage", async () => {
    await project([{ type: "target.disabled", configVersion: 2 }]);
    expect(await row()).toMatchObject({ state: "disabled", reason: "gone", outages: 1 });
  });

  test("is the same after a rebuild (I1)", async () => {
    const events = stored(endpointHistory({ facts: [...OPEN, ...BACK, ...OPEN] }));
    source.append("runs", events);
    await projectBatch(client, { stream: "runs", streamCreated: source.created, events });
    const before = await dump(pool);
    expect(before["endpoints"]).toHaveLength(1);
    await rebuildReadModels({ source, database });
    expect((await dump(pool))["endpoints"]).toEqual(before["endpoints"]);
  });

  test("lists every configured target, the worst first, and none that is gone", async () => {
    await pool.query(`
      insert into egret.workspaces (id, name) overriding system value values (12, 'a'), (13, 'b');
      insert into egret.webhooks (id, workspace_id, name, endpoint, events, secret) overriding system value
        values (3, 12, 'fine', 'x', '{}', ''), (4, 12, 'down', 'x', '{}', ''), (5, 13, 'other', 'x', '{}', '');
      insert into egret.destinations (id, workspace_id, name, type, settings, secret) overriding system value
        values (4, 12, 'hook', 'webhook', '{}', '')`);
    await project(OPEN);
    const states = (await listEndpoints(db)).map(({ name, state, outages }) => [name, state, outages]);
    expect(states).toEqual([
      ["down", "open", 1],
      ["fine", "healthy", 0],
      ["hook", "healthy", 0],
      ["other", "healthy", 0],
    ]);
    expect((await listEndpoints(db, { workspaceId: 13 })).map(({ name }) => name)).toEqual(["other"]);
  });
});
