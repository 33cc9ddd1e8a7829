import { randomUUID } from "node:crypto";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TrialAggregate } from "../../src/domain/aggregate.ts";
import type { AnyEvent, EventData } from "../../src/domain/event.ts";
import { readTestExchange } from "../../src/engine/trials.ts";
import { publishCommand } from "../../src/log/commands.ts";
import { getRun } from "../../src/projections/runs.ts";
import { getSync } from "../../src/projections/syncs.ts";
import { type AppliedYaml, applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const warehouse = await testDatabase();
const egret: TestEgret = await testEgret();
const { connection, database, log } = egret.services;
let source: Client;
let destination: Receiver;
let subscriber: Receiver;
let applied: AppliedYaml;

const yaml = ({ mapping = "name", maxDelete = 50 } = {}) => `
workspace: demo
sources:
  warehouse: { type: postgres, url: "${warehouse.url}" }
models:
  slow: { source: warehouse, query: "select n as id, 'x' as name from generate_series(1, 3) n, pg_sleep(60)" }
destinations:
  ops:
    type: webhook
    url: "${destination.url}/rows"
    batch_size: 10
    rate_limit_per_second: 1000
    auth_token: "Bearer t0p-s3cret-t0ken"
syncs:
  people: { source: warehouse, table: public.people, destination: ops, key: id, mappings: [${mapping}] }
  mirrored:
    { source: warehouse, table: public.people, destination: ops, key: id, operation: mirror, max_delete_percent: ${maxDelete} }
  slow: { model: slow, destination: ops, key: id }
webhooks:
  pager: { endpoint: "${subscriber.url}/hook" }
`;

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(`
    create table people (id text, name text, city text);
    insert into people select 'p' || n, 'Person ' || n, 'Rome' from generate_series(10, 39) n;
    insert into people values (null, 'Nobody', null), ('twice', 'One', null), ('twice', 'Two', null)`);
  destination = await startReceiver();
  subscriber = await startReceiver();
  applied = await applyYaml(egret, yaml());
});

afterAll(async () => {
  await source.end();
  await destination.close();
  await subscriber.close();
});

/** Asks for a trial by a command and waits for its end. */
async function tryOut(
  verb: "dry_run" | "test",
  payload: { sync: string; force_full_sync?: boolean; identifier?: string },
  { until = ["trial.completed", "trial.failed"] } = {},
): Promise<{ trial: TrialAggregate; events: AnyEvent[] }> {
  const id = randomUUID();
  await publishCommand(connection, { workspaceId: 1, verb, payload, id });
  const { rows } = await expect
    .poll(
      () => database.pool.query("select run_id from egret.accepted_commands where command_id = $1", [id]),
      {
        timeout: 20_000,
      },
    )
    .toMatchObject({ rows: [{}] })
    .then(() =>
      database.pool.query("select run_id from egret.accepted_commands where command_id = $1", [id]),
    );
  const syncId = await applied.id("sync", payload.sync);
  const trial: TrialAggregate = { kind: "trial", workspaceId: 1, syncId, runId: rows[0].run_id };
  await expect.poll(async () => (await log.last(trial))?.event.type, { timeout: 30_000 }).toBeOneOf(until);
  return { trial, events: (await log.load(trial)).map(({ event }) => event) };
}

async function found(sync: string, force_full_sync = false): Promise<EventData<"trial.completed">> {
  const { events } = await tryOut("dry_run", { sync, force_full_sync });
  const last = events.at(-1);
  if (last?.type !== "trial.completed") throw new Error(JSON.stringify(last));
  return last.data;
}

const engineTraces = async (runId: number) => {
  const { rows } = await database.pool.query(
    `select (select count(*) from egret.plans where run_id = $1) as plans,
            (select count(*) from egret.batches where run_id = $1) as batches,
            (select count(*) from egret.invalid_rows where run_id = $1) as invalid,
            (select count(*) from pg_class where relnamespace = 'egret_state'::regnamespace and relkind = 'r'
               and relname ~ ('(stage_|rows_\\d{10,}).*')) as tables`,
    [runId],
  );
  return rows[0];
};
const NO_TRACE = { plans: 0, batches: 0, invalid: 0, tables: 0 };
const projected = (runId: number) => getRun(database.db, runId);

describe("a dry run", { concurrent: false }, () => {
  test("before the first run tells what it would do, sends nothing and leaves no trace in the engine", async () => {
    const { trial, events } = await tryOut("dry_run", { sync: "people" });
    expect(events.map(({ type, state }) => [type, state])).toEqual([
      ["trial.requested", "requested"],
      ["trial.started", "working"],
      ["trial.completed", "completed"],
    ]);
    expect(events.at(-1)?.data).toMatchObject({
      source_record_count: 33,
      source_record_updates: 30,
      source_record_deletes: 0,
      source_record_invalids: 3,
      records_processed: null,
      full_sync: true,
      full_sync_reasons: ["first_run"],
      dry: {
        expected_creates: 30,
        expected_updates: 0,
        expected_deletes: 0,
        batches: 3,
        resends: null,
        stopped_by: null,
      },
      test: null,
    });
    expect(destination.requests).toHaveLength(0);
    expect(await engineTraces(trial.runId)).toEqual(NO_TRACE);
    const { rows } = await database.pool.query("select sync_id from egret.sync_states");
    expect(rows).toEqual([]);
  });

  test("is kept among the runs with its figures, and says nothing of its sync", async () => {
    const { trial } = await tryOut("dry_run", { sync: "people" });
    await expect
      .poll(async () => (await projected(trial.runId))?.status, { timeout: 20_000 })
      .toBe("completed");
    expect(await projected(trial.runId)).toMatchObject({
      run_kind: "dry",
      trigger_tag: "Dry Run",
      source_record_count: 33,
      source_record_updates: 30,
      records_processed: null,
      full_sync_reasons: ["first_run"],
      report: { expected_creates: 30 },
      current_step: null,
    });
    // The sync itself is told of by the outbox, in its own time.
    await expect
      .poll(() => getSync(database.db, trial.syncId), { timeout: 20_000 })
      .toMatchObject({ status: "ready", last_run_id: null });
  });

  test("foretells the next run: creates, updates, deletes and rows set aside", async () => {
    await triggerAndWait(egret, { sync: "mirrored" });
    await source.query(`
      insert into people select 'q' || n, 'New', null from generate_series(1, 4) n;
      update people set city = 'Oslo' where id in ('p10', 'p11', 'p12');
      delete from people where id in ('p38', 'p39')`);
    const before = destination.requests.length;
    const { trial, events } = await tryOut("dry_run", { sync: "mirrored" });
    const last = events.at(-1) as { data: EventData<"trial.completed"> };
    expect(last.data).toMatchObject({
      full_sync: false,
      dry: {
        expected_creates: 4,
        expected_updates: 3,
        expected_deletes: 2,
        batches: 2,
        resends: null,
        remembered: 30,
        stopped_by: null,
      },
    });
    expect(destination.requests).toHaveLength(before);
    expect(await engineTraces(trial.runId)).toEqual(NO_TRACE);
    const { events: real } = await triggerAndWait(egret, { sync: "mirrored" });
    const completed = real.find(({ type }) => type === "sync.completed")?.data as EventData<"sync.completed">;
    for (const counter of [
      "source_record_count",
      "source_record_updates",
      "source_record_deletes",
      "source_record_invalids",
    ] as const) {
      expect([counter, completed[counter]]).toEqual([counter, last.data[counter]]);
    }
  });

  test("says that the fuse would stop the run, with all its figures", async () => {
    await source.query("update people set city = 'Bonn' where id = 'p11'");
    await source.query("delete from people where id > 'p12' and id <> 'twice'");
    const { dry, ...data } = await found("mirrored");
    expect(data).toMatchObject({ source_record_updates: 1, source_record_deletes: 29 });
    expect(dry).toMatchObject({
      expected_deletes: 29,
      remembered: 32,
      stopped_by: { error_code: "DELETE_GUARD" },
    });
    const { events } = await triggerAndWait(egret, { sync: "mirrored" });
    expect(events.find(({ type }) => type === "sync.completed")?.data).toMatchObject({
      error_code: "DELETE_GUARD",
      error_message: dry?.stopped_by?.error_message,
    });
  });

  test("tells how many accepted rows a changed mapping, or a full sync, sends again", async () => {
    await source.query("insert into people select 'p' || n, 'Person', 'Rome' from generate_series(13, 39) n");
    await triggerAndWait(egret, { sync: "people" });
    await source.query("insert into people values ('r1', 'Late', null)");
    expect((await found("people")).dry).toMatchObject({
      expected_creates: 1,
      expected_updates: 0,
      resends: null,
    });
    expect((await found("people", true)).dry).toMatchObject({
      expected_creates: 1,
      expected_updates: 30,
      resends: 30,
    });
    await applyYaml(egret, yaml({ mapping: "name, city" }));
    const { dry, full_sync, full_sync_reasons } = await found("people");
    expect({ full_sync, full_sync_reasons }).toEqual({
      full_sync: true,
      full_sync_reasons: ["mapping_added"],
    });
    expect(dry).toMatchObject({ expected_creates: 1, expected_updates: 30, resends: 30 });
  });

  test("goes on beside a run of the same sync, and neither waits for the other", async () => {
    const gate = Promise.withResolvers<undefined>();
    destination.behave(async () => {
      await gate.promise;
      return {};
    });
    const { runId } = await triggerAndWait(egret, { sync: "people" }, { until: ["sync.planned"] });
    const { dry } = await found("people");
    expect(dry).toMatchObject({ expected_creates: 1, expected_updates: 30 });
    const run = { kind: "run", workspaceId: 1, syncId: await applied.id("sync", "people"), runId } as const;
    expect((await log.last(run))?.event.type).toBe("sync.planned");
    gate.resolve(undefined);
    await expect
      .poll(async () => (await log.last(run))?.event.type, { timeout: 20_000 })
      .toBe("sync.success");
    destination.behave({});
    expect((await found("people")).dry).toMatchObject({ expected_creates: 0, expected_updates: 0 });
  });

  test("fails with the source's words, and is cancelled like any run", async () => {
    await source.query("alter table people rename column name to full_name");
    const { trial, events } = await tryOut("dry_run", { sync: "people" });
    await source.query("alter table people rename column full_name to name");
    expect(events.at(-1)?.data).toMatchObject({ canceled: false, error_code: "SOURCE_COLUMN_MISSING" });
    await expect.poll(async () => (await projected(trial.runId))?.status, { timeout: 20_000 }).toBe("failed");

    const slow = await tryOut("dry_run", { sync: "slow" }, { until: ["trial.started"] });
    const payload = { run: slow.trial.runId };
    await publishCommand(connection, { workspaceId: 1, verb: "cancel", payload, id: randomUUID() });
    await expect
      .poll(async () => (await log.last(slow.trial))?.event.data, { timeout: 20_000 })
      .toMatchObject({ canceled: true, error_code: "SYNC_CANCELED" });
    await expect.poll(() => engineTraces(slow.trial.runId), { timeout: 20_000 }).toEqual(NO_TRACE);
  });

  test("of a sync that is not there is refused", async () => {
    const id = randomUUID();
    await publishCommand(connection, { workspaceId: 1, verb: "dry_run", payload: { sync: "nobody" }, id });
    const refused = async () =>
      (await log.last({ kind: "command", workspaceId: 1, commandId: id }))?.event.data;
    await expect.poll(refused, { timeout: 20_000 }).toMatchObject({ code: "UNKNOWN_SYNC" });
  });
});

describe("a test run", { concurrent: false }, () => {
  test("sends the first valid row by key with the real headers, and keeps what was said without secrets", async () => {
    destination.behave({ body: "welcome" });
    const before = destination.requests.length;
    const { trial, events } = await tryOut("test", { sync: "people" });
    expect(events.at(-1)?.data).toMatchObject({
      test: { outcome: "accepted", http_status: 200, error: null },
      records_processed: 1,
      records_updated: 1,
      records_failed: 0,
    });
    expect(destination.requests).toHaveLength(before + 1);
    const sent = destination.requests.at(-1);
    expect(sent?.headers).toMatchObject({
      authorization: "Bearer t0p-s3cret-t0ken",
      "content-type": "application/json; charset=utf-8",
      "idempotency-key": `${trial.runId}-1`,
    });
    const body = JSON.parse(sent?.body.toString() ?? "") as { operation: string; data: object[] };
    expect(body).toMatchObject({ operation: "changed", data: [{ unique_id: "p10", name: "Person 10" }] });
    const kept = await readTestExchange(database.db, trial.runId);
    expect(kept).toMatchObject({
      request: {
        method: "POST",
        url: `${destination.url}/rows`,
        headers: { authorization: "***", "idempotency-key": `${trial.runId}-1` },
        body: sent?.body.toString(),
      },
      response: { http_status: 200, body: "welcome", error: null },
    });
    expect(JSON.stringify(events)).not.toContain("Person");
  });

  test("sends the row with the wanted key, changes no state, and says nothing to webhooks", async () => {
    const { dry } = await found("people");
    const { trial } = await tryOut("test", { sync: "people", identifier: "p33" });
    expect(destination.requests.at(-1)?.body.toString()).toContain('"unique_id":"p33"');
    expect((await found("people")).dry).toEqual(dry);
    await expect.poll(async () => (await projected(trial.runId))?.run_kind, { timeout: 20_000 }).toBe("test");
    expect(await projected(trial.runId)).toMatchObject({
      status: "completed",
      trigger_tag: "Test",
      report: { outcome: "accepted" },
    });
    const told = subscriber.requests.map(
      ({ body }) => (JSON.parse(body.toString()) as { sync_run_id: number }).sync_run_id,
    );
    const { rows } = await database.pool.query("select id from egret_read.runs where run_kind <> 'normal'");
    expect(rows.length).toBeGreaterThan(5);
    for (const { id } of rows) expect(told).not.toContain(id);
  });

  test("tells that the record was rejected, or that the destination did not judge it", async () => {
    destination.behave({ status: 422, body: "no such city" });
    const rejected = await tryOut("test", { sync: "people" });
    expect(rejected.events.at(-1)?.data).toMatchObject({
      test: { outcome: "rejected", http_status: 422, error: "HTTP 422" },
      records_failed: 1,
    });
    expect((await readTestExchange(database.db, rejected.trial.runId))?.response.body).toBe("no such city");
    destination.behave({ reset: true });
    const lost = await tryOut("test", { sync: "people" });
    expect(lost.events.at(-1)?.data).toMatchObject({
      test: { outcome: "unavailable", http_status: null },
      records_processed: 0,
    });
    destination.behave({});
  });

  test.each([
    ["no row has the key", "nobody", "The source has no row with that key"],
    ["several rows have the key", "twice", "Several rows have that key"],
  ])("fails when %s, without naming it in the log", async (_case, identifier, words) => {
    const before = destination.requests.length;
    const { events } = await tryOut("test", { sync: "people", identifier });
    expect(events.at(-1)?.data).toMatchObject({ error_message: expect.stringContaining(words) });
    expect(JSON.stringify(events)).not.toContain(identifier);
    expect(destination.requests).toHaveLength(before);
  });

  test("sends nothing to a paused destination", async () => {
    await database.pool.query("update egret.destinations set paused = true");
    const { events } = await tryOut("test", { sync: "people" });
    await database.pool.query("update egret.destinations set paused = false");
    expect(events.at(-1)?.data).toMatchObject({ error_message: expect.stringContaining("is paused") });
  });
});
