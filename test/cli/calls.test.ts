import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { DestinationCall } from "../../src/projections/calls.ts";
import { latestCalls } from "../../src/projections/calls.ts";
import { ExchangeStore } from "../../src/projections/exchangeStore.ts";
import { runCli, startCli } from "../support/cli.ts";
import { type AppliedYaml, applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const TOKEN = "Bearer TOKEN-4711-4711";
const PARAMETER = "PARAMETER-4711";
const warehouse = await testDatabase();
const egret: TestEgret = await testEgret();
const { settings } = egret;
const { db, pool } = egret.services.database;
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
  await source.query("create table people (id int primary key, name text)");
  receiver = await startReceiver();
  applied = await applyYaml(
    egret,
    `
workspace: demo
sources: { warehouse: { type: postgres, url: "${warehouse.url}" } }
destinations:
  hook: { type: webhook, url: "${receiver.url}/hook", batch_size: 4, rate_limit_per_second: null, auth_token: "${TOKEN}" }
  api:
    type: http_request
    url: ${receiver.url}/api
    path: /people/{{ record['unique_id'] }}
    method: PUT
    url_parameters: { key: ${PARAMETER} }
    requests_per_second: null
syncs:
  to_hook: { table: public.people, source: warehouse, destination: hook, key: id }
  beside: { table: public.people, source: warehouse, destination: hook, key: id }
  to_api: { table: public.people, source: warehouse, destination: api, key: id }
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
  await pool.query("truncate egret.exchanges");
});

let fills = 0;
async function fill(rows: number): Promise<void> {
  fills += 1;
  await source.query(`insert into people select n, 'name ${fills}/' || n from generate_series(1, ${rows}) n`);
}

/** Exchanges are kept a moment after they were made. */
async function kept(calls: number, sync = "to_hook"): Promise<DestinationCall[]> {
  const syncId = await applied.id("sync", sync);
  await expect
    .poll(async () => (await latestCalls(db, { syncId, limit: 100 })).length, { timeout: 20_000 })
    .toBe(calls);
  return latestCalls(db, { syncId, limit: 100 });
}

const byText = (a: unknown, b: unknown): number => (String(a) < String(b) ? -1 : 1);
const show = (...args: string[]) => runCli(["calls", ...args], env);

describe("egret calls", () => {
  test("shows requests and answers of one sync, newest first, with bodies and without secrets", async () => {
    await fill(4);
    const next = receiver.requests.length + 1;
    receiver.behave((_request, attempt) =>
      attempt === next
        ? { status: 503, headers: { "retry-after": "0", "x-echo": TOKEN }, body: `sorry ${TOKEN}` }
        : { body: "thank you" },
    );
    const { runId } = await triggerAndWait(egret, { sync: "to_hook" });
    await triggerAndWait(egret, { sync: "beside" });
    const [second, first] = await kept(2);
    expect(first).toMatchObject({
      sync_run_id: runId,
      batch: "1",
      attempt: 1,
      method: "POST",
      url: `${receiver.url}/hook`,
      http_status: 503,
      error: null,
      request_headers: { authorization: "***", "idempotency-key": `${runId}-1` },
      request_body: receiver.requests[next - 1]?.body.toString(),
      request_body_bytes: receiver.requests[next - 1]?.body.length,
      response_headers: { "x-echo": "***" },
      response_body: "sorry ***",
    });
    expect(second).toMatchObject({ attempt: 2, http_status: 200, response_body: "thank you" });
    expect(second?.started_at.getTime()).toBeGreaterThan(first?.started_at.getTime() ?? 0);

    const short = await show("to_hook");
    expect(short.stdout.trim().split("\n")).toHaveLength(2);
    expect(short.stdout).toMatch(new RegExp(`${runId}-1 {2}POST ${receiver.url}/hook {2}HTTP 503 in `));
    expect(short.stdout).toMatch(new RegExp(`${runId}-1 attempt 2 {2}POST .*HTTP 200 in `));
    const full = await show("to_hook", "--full");
    for (const text of ["> authorization: ***", `"name":"name ${fills}/1"`, "< x-echo: ***", "< sorry ***"])
      expect(full.stdout).toContain(text);
    const json = await show("to_hook", "--json", "--run", String(runId));
    expect(
      json.stdout
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as DestinationCall).attempt),
    ).toEqual([1, 2]);
    for (const { stdout, stderr } of [short, full, json]) expect(stdout + stderr).not.toContain("4711-4711");
    expect((await show("to_hook", "--run", "999999")).stderr).toMatch(/^no calls/);
  }, 60_000);

  test("names halves of batches, and keeps parameters of addresses to itself", async () => {
    await fill(3);
    receiver.behave(({ body }) => (body.toString().includes('"unique_id":3') ? { status: 422 } : {}));
    await triggerAndWait(egret, { sync: "to_hook" });
    const batches = (await kept(3)).map(({ batch, http_status, request_body: body }) => [
      batch,
      http_status,
      body === null,
    ]);
    // What the whole batch held stands in its halves.
    expect(batches.toSorted(byText)).toEqual([
      ["1", 422, true],
      ["1_1", 200, false],
      ["1_2", 422, false],
    ]);
    receiver.behave({});
    await triggerAndWait(egret, { sync: "to_api" });
    const calls = await kept(3, "to_api");
    expect(calls.map(({ url }) => url).toSorted(byText)).toEqual(
      [1, 2, 3].map((id) => `${receiver.url}/api/people/${id}?key=***`),
    );
    expect(calls[0]?.method).toBe("PUT");
    expect(receiver.requests.at(-1)?.path).toContain(PARAMETER);
    expect(JSON.stringify(calls)).not.toContain(PARAMETER);
  });

  test("says why there was no answer", async () => {
    await fill(1);
    const next = receiver.requests.length + 1;
    receiver.behave((_request, attempt) => ({ reset: attempt === next }));
    await triggerAndWait(egret, { sync: "to_hook" });
    const first = (await kept(2)).at(-1);
    expect(first).toMatchObject({
      http_status: null,
      error: expect.stringMatching(/./),
      response_headers: null,
    });
    expect((await show("to_hook")).stdout).toContain(`${first?.error} in `);
  });

  test("cuts a long body at 64 KiB, and says how long it was", async () => {
    await source.query("insert into people values (1, repeat('x', 100000))");
    await triggerAndWait(egret, { sync: "to_hook" });
    const [call] = await kept(1);
    expect(call?.request_body).toHaveLength(65_536);
    expect(call?.request_body_bytes).toBe(receiver.requests.at(-1)?.body.length);
    expect((await show("to_hook", "--full")).stdout).toContain("… (97.");
  });

  test("--follow shows those that come, each once, and ends when it is told to", async () => {
    await fill(1);
    await triggerAndWait(egret, { sync: "to_hook" });
    await kept(1);
    const cli = startCli(["calls", "to_hook", "--follow", "--json"], env);
    await cli.waitFor(/\n/);
    await source.query("truncate people");
    await fill(2);
    const { runId } = await triggerAndWait(egret, { sync: "to_hook" });
    await source.query("truncate people");
    const text = await cli.waitFor(new RegExp(`"sync_run_id":${runId},"batch":"1"`));
    await fill(3);
    const third = await triggerAndWait(egret, { sync: "to_hook" });
    await cli.waitFor(new RegExp(`"sync_run_id":${third.runId},"batch":"1"`));
    cli.child.kill("SIGINT");
    const { code, stdout } = await cli.ended;
    expect(code).toBe(0);
    expect(stdout.startsWith(text)).toBe(true);
    const seen = stdout.trim().split("\n");
    expect(seen).toHaveLength(3);
    expect(new Set(seen).size).toBe(3);
  }, 60_000);
});

describe("the latest calls", () => {
  test("are the latest by their beginning, though their chunks were closed in another order", async () => {
    await fill(1);
    const { runId } = await triggerAndWait(egret, { sync: "to_hook" });
    await kept(1);
    await pool.query("truncate egret.exchanges");
    const targetId = await applied.id("destination", "hook");
    const nowMs = Date.now();
    const exchange = {
      requestHeaders: {},
      responseHeaders: {},
      responseBody: "",
      split: { dnsMs: null, connectMs: null, tlsMs: null, firstByteMs: 1, totalMs: 1 },
    };
    const quiet = { info: () => undefined, warn: () => undefined };
    // 300 chunks; every third call took ten seconds, so that it stands among younger ones.
    const began: number[] = [];
    for (let chunk = 0; chunk < 300; chunk += 1) {
      const closedMs = nowMs - 300_000 + chunk * 1_000;
      const startedMs = closedMs - (chunk % 3 === 0 ? 10_000 : 5);
      began.push(startedMs);
      const store = new ExchangeStore({ pool, log: quiet, now: () => closedMs });
      const call = {
        targetKind: "destination",
        targetId,
        deliveryId: `${runId}-1`,
        attempt: chunk + 1,
      } as const;
      store.add({ ...call, startedAt: new Date(startedMs), exchange });
      await store.close();
    }
    const syncId = await applied.id("sync", "to_hook");
    for (const limit of [1, 7, 100]) {
      const found = await latestCalls(db, { syncId, limit });
      expect(found.map(({ started_at: at }) => at.getTime())).toEqual(
        began.toSorted((a, b) => b - a).slice(0, limit),
      );
    }
    // Kept by a version that did not write down what was asked for.
    expect((await latestCalls(db, { syncId, limit: 1 }))[0]).toMatchObject({
      method: null,
      http_status: null,
    });
    expect(await latestCalls(db, { syncId: await applied.id("sync", "beside"), limit: 5 })).toEqual([]);
  }, 60_000);
});
