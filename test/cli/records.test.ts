import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { countRecords, findRecords, listRecords } from "../../src/engine/recordQueries.ts";
import { publishCommand } from "../../src/log/commands.ts";
import { runCli } from "../support/cli.ts";
import { type AppliedYaml, applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type ReceivedRequest, type Receiver, startReceiver } from "../support/receiver.ts";

const warehouse = await testDatabase();
const egret: TestEgret = await testEgret();
const { settings } = egret;
const env = {
  EGRET_DATABASE_URL: settings.databaseUrl,
  EGRET_NATS_URL: settings.natsUrl,
  EGRET_STREAM_PREFIX: settings.streamPrefix,
  EGRET_SECRET_KEY: settings.secretKeys[0] ?? "",
};
let source: Client;
let receiver: Receiver;
let applied: AppliedYaml;

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query("create table people (id text, name text)");
  receiver = await startReceiver();
  applied = await applyYaml(
    egret,
    `
workspace: demo
sources: { warehouse: { type: postgres, url: "${warehouse.url}" } }
destinations:
  hook: { type: webhook, url: "${receiver.url}/hook", batch_size: 20, rate_limit_per_second: null }
  slow: { type: webhook, url: "${receiver.url}/slow", batch_size: 1, parallel_requests: 2, rate_limit_per_second: null }
  form:
    type: http_request
    url: ${receiver.url}/form
    path: /people/{{ record['unique_id'] }}
    payload: form
    requests_per_second: null
syncs:
  to_hook: { table: public.people, source: warehouse, destination: hook, key: id }
  to_slow: { table: public.people, source: warehouse, destination: slow, key: id }
  to_form: { table: public.people, source: warehouse, destination: form, key: id }
`,
  );
});
afterAll(async () => {
  await source.end();
  await receiver.close();
});
beforeEach(async () => {
  receiver.behave({});
  await source.query("truncate people");
});

let fills = 0;
async function fill(rows: number): Promise<void> {
  fills += 1;
  await source.query(`insert into people select n, 'name ${fills}/' || n from generate_series(1, ${rows}) n`);
}

const idsOf = ({ body }: ReceivedRequest): string[] =>
  (JSON.parse(body.toString()) as { data: { unique_id: string }[] }).data.map(({ unique_id: id }) => id);
const records = (...args: string[]) => runCli(["records", ...args], env);
async function lines(...args: string[]): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await records(...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const texts = stdout.split("\n").filter((line) => line !== "");
  return texts.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("egret records", () => {
  test("shows every row of a run with what became of it, and each status by itself", async () => {
    await fill(20);
    await source.query("insert into people values (null, 'x'), ('1', 'again')");
    receiver.behave((request) => (idsOf(request).includes("7") ? { status: 422, body: "no such mail" } : {}));
    const { runId } = await triggerAndWait(egret, { sync: "to_hook" });
    const run = String(runId);
    // When a request began is known once the read models have it.
    const { db } = egret.services.database;
    const syncId = await applied.id("sync", "to_hook");
    const began = async () =>
      (await listRecords(db, { runId, syncId, identifier: "7", limit: 1 }))[0]?.batch_started_at;
    await expect.poll(began, { timeout: 20_000 }).not.toBeNull();

    const rejected = await lines(run, "--json", "--status", "rejected");
    expect(rejected).toEqual([
      {
        identifier: "7",
        record_payload: { unique_id: "7", name: `name ${fills}/7` },
        operation: "upsert",
        status: "rejected",
        status_message: "HTTP 422: no such mail",
        batch_started_at: expect.stringMatching(/^\d{4}-/),
        batch_completed_at: expect.stringMatching(/^\d{4}-/),
        sync_configuration_id: syncId,
        sync_run_id: runId,
        rows: 1,
        cursor: expect.stringMatching(/^b\d+\.0$/),
      },
    ]);
    const times = [rejected[0]?.["batch_started_at"], rejected[0]?.["batch_completed_at"]].map(String);
    expect(times).toEqual(times.toSorted());

    const shown = await records(run);
    expect(shown.stdout).toMatch(/^succeeded 18 rows, rejected 1 row, NULL 1 row, DUPLICATE 2 rows\n/);
    expect(shown.stdout).toMatch(/^1 +DUPLICATE +- +- +2 rows have this key/m);
    const invalid = await lines(run, "--json", "--status", "invalid");
    expect(invalid.map(({ identifier, status }) => [identifier, status])).toEqual([
      [null, "NULL"],
      ["1", "DUPLICATE"],
    ]);
    expect(await lines(run, "--json", "--key", "20")).toMatchObject([{ status: "succeeded" }]);
    expect(await lines(run, "--json", "--operation", "delete")).toEqual([]);

    const first = await records(run, "--limit", "5");
    const cursor = /add --after (\S+)\n$/.exec(first.stderr)?.[1];
    const rest = await lines(run, "--json", "--limit", "100", "--after", String(cursor));
    expect(rest).toHaveLength(21 - 5);
  });

  test("tells rows of a request that does not show them, such as a form", async () => {
    await fill(2);
    const { runId } = await triggerAndWait(egret, { sync: "to_form" });
    expect((await lines(String(runId), "--json")).map((each) => each["record_payload"])).toEqual([
      { unique_id: "1", name: `name ${fills}/1` },
      { unique_id: "2", name: `name ${fills}/2` },
    ]);
  });

  test("of a run that was canceled are those of the requests that were under way, and no others", async () => {
    await fill(50);
    const gate = Promise.withResolvers<void>();
    receiver.behave(async () => {
      await gate.promise;
      return {};
    });
    const before = receiver.requests.length;
    const run = triggerAndWait(egret, { sync: "to_slow" });
    await receiver.waitFor(before + 2);
    const syncId = await applied.id("sync", "to_slow");
    const { connection, database } = egret.services;
    const { rows } = await database.pool.query<{ id: number }>(
      "select active_run_id as id from egret.sync_states where sync_id = $1",
      [syncId],
    );
    const runId = rows[0]?.id ?? 0;
    expect(await countRecords(database.db, { runId, syncId })).toMatchObject({ pending: { rows: 50 } });
    await publishCommand(connection, {
      workspaceId: 1,
      verb: "cancel",
      payload: { run: runId },
      id: "cancel-1",
    });
    const withdrawn = async () =>
      (
        await database.pool.query("select from egret.batches where run_id = $1 and withdrawn limit 1", [
          runId,
        ])
      ).rowCount;
    await expect.poll(withdrawn, { timeout: 20_000 }).toBe(1);
    gate.resolve();
    await run;
    const sent = receiver.requests.slice(before).flatMap(idsOf);
    expect(sent.length).toBeLessThan(50);
    const kept = await lines(String(runId), "--json", "--limit", "100");
    expect(new Set(kept.map(({ identifier }) => identifier))).toEqual(new Set(sent));
    expect(kept).toHaveLength(sent.length);
    expect(kept.every((each) => each["status"] === "succeeded" && each["record_payload"] !== null)).toBe(
      true,
    );
  });

  test("says what is wrong with what was asked", async () => {
    const unknown = await records("999999");
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining("there is no run 999999") });
    const status = await records("1", "--status", "rejcted");
    expect(status).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("Give one of succeeded, rejected"),
    });
    expect(await records("1", "--after", "b1")).toMatchObject({ code: 2 });
    expect(await records("export", "x")).toMatchObject({ code: 2 });
  });
});

describe("egret records export", () => {
  test("writes every row as NDJSON or CSV, or those that were asked for", async () => {
    await fill(3_000);
    await source.query("insert into people values ('=1+1', 'a, \"b\"')");
    receiver.behave((request) => (idsOf(request).includes("77") ? { status: 400 } : {}));
    const { runId } = await triggerAndWait(egret, { sync: "to_hook" });
    const run = String(runId);
    const all = await lines("export", run);
    expect(new Set(all.map(({ identifier }) => identifier)).size).toBe(3_001);
    expect(all.filter(({ status }) => status !== "succeeded")).toMatchObject([{ identifier: "77" }]);
    expect(all[0]).not.toHaveProperty("cursor");

    const csv = await records("export", run, "--format", "csv", "--key", "=1+1");
    expect(csv.stdout.split("\r\n")).toEqual([
      expect.stringMatching(/^identifier,record_payload,operation,status/),
      expect.stringMatching(
        /^=1\+1,"\{""unique_id"":""=1\+1"",""name"":""a, \\""b\\""""\}",upsert,succeeded,,/,
      ),
      "",
    ]);
    const safe = await records("export", run, "--format", "csv", "--escape-formulas", "--key", "=1+1");
    expect(safe.stdout).toContain("\r\n'=1+1,");
    const rejected = await records("export", run, "--format", "csv", "--status", "rejected");
    expect(rejected.stdout.trim().split("\r\n")).toHaveLength(2);
  });
});

describe("egret records find", () => {
  test("shows what became of a key in the runs of a sync, newest first", async () => {
    await source.query("insert into people values ('LHR', 'one'), ('ORY', 'x')");
    receiver.behave({ status: 400, body: "not yet" });
    const first = await triggerAndWait(egret, { sync: "to_hook" });
    receiver.behave({});
    const second = await triggerAndWait(egret, { sync: "to_hook" });
    await source.query("update people set name = 'two' where id = 'LHR'");
    const third = await triggerAndWait(egret, { sync: "to_hook" });
    const syncId = await applied.id("sync", "to_hook");
    const ofKey = () => findRecords(egret.services.database.db, { syncId, identifier: "LHR", limit: 9 });
    await expect.poll(async () => (await ofKey()).length, { timeout: 20_000 }).toBe(3);
    const found = await lines("find", "to_hook", "--key", "LHR", "--json");
    expect(found.map((each) => [each["sync_run_id"], each["status"], each["record_payload"]])).toEqual([
      [third.runId, "succeeded", { unique_id: "LHR", name: "two" }],
      [second.runId, "succeeded", { unique_id: "LHR", name: "one" }],
      [first.runId, "rejected", { unique_id: "LHR", name: "one" }],
    ]);
    const shown = await records("find", "to_hook", "--key", "LHR", "--limit", "2");
    expect(shown.stdout.trim().split("\n")).toHaveLength(3);
    expect((await records("find", "to_hook", "--key", "JFK")).stdout).toMatch(/^no run has sent/);
    expect((await records("find", "to_hok", "--key", "JFK")).stderr).toContain("to_hook");
  });
});
