import { randomUUID } from "node:crypto";
import { Client } from "pg";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { signBody } from "../../src/security/signature.ts";
import { type AppliedYaml, applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const warehouse = await testDatabase();
const egret: TestEgret = await testEgret();
let source: Client;
let destination: Receiver;
let subscriber: Receiver;
let applied: AppliedYaml;
let configuration: string;

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(`
    create table airports (iata text, name text, elevation int, opened timestamp);
    insert into airports select 'A' || n, 'Airport ' || n, n, '2020-01-01'::timestamp + n * interval '1 day'
    from generate_series(1, 25) n`);
  destination = await startReceiver();
  subscriber = await startReceiver();
  configuration = `
workspace: demo
sources:
  warehouse: { type: postgres, url: "${warehouse.url}" }
models:
  airports: { source: warehouse, query: "select * from airports" }
destinations:
  ops: { type: webhook, url: "${destination.url}/rows", batch_size: 10, rate_limit_per_second: 1000, auth_token: "Bearer t0k3n" }
syncs:
  airports_to_ops: { model: airports, destination: ops, key: iata }
webhooks:
  pager: { endpoint: "${subscriber.url}/hook" }
`;
  applied = await applyYaml(egret, configuration);
});

afterAll(async () => {
  await source.end();
  await destination.close();
  await subscriber.close();
});

interface Body {
  operation: string;
  sync_run_at: string;
  model_name: string;
  data: Record<string, unknown>[];
}
const keysOf = (receiver: Receiver, from = 0) =>
  rowsOf(receiver, from)
    .map((row) => String(row["unique_id"]))
    .sort();
const rowsOf = (receiver: Receiver, from = 0) =>
  receiver.requests.slice(from).flatMap(({ body }) => (JSON.parse(body.toString()) as Body).data);

describe("a sync", () => {
  let firstRun: number;

  test("sends every row on its first run, in batches with the seed's body", async () => {
    const { runId, events } = await triggerAndWait(egret, { sync: "airports_to_ops" });
    firstRun = runId;
    expect(events.map(({ type }) => type)).toEqual([
      "sync.triggered",
      "sync.started",
      "sync.checked",
      "sync.snapshotted",
      "sync.planned",
      "sync.loaded",
      "sync.completed",
      "sync.success",
    ]);
    expect(events.find(({ type }) => type === "sync.completed")?.data).toMatchObject({
      status: "ok",
      source_record_count: 25,
      source_record_updates: 25,
      source_record_invalids: 0,
      records_processed: 25,
      records_updated: 25,
      records_failed: 0,
      full_sync: true,
    });
    expect(destination.requests).toHaveLength(3);
    const [request] = destination.requests;
    expect(request?.headers).toMatchObject({
      authorization: "Bearer t0k3n",
      "idempotency-key": expect.stringMatching(`^${runId}-[123]$`),
    });
    const body = JSON.parse(request?.body.toString() ?? "") as Body;
    expect(body).toMatchObject({
      api_version: 1,
      operation: "changed",
      connection_name: "ops",
      model_name: "airports",
      schema_name: null,
    });
    expect(body.sync_run_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(keysOf(destination)).toEqual(Array.from({ length: 25 }, (_, n) => `A${n + 1}`).sort());
    expect(rowsOf(destination).find((row) => row["unique_id"] === "A1")).toEqual({
      unique_id: "A1",
      name: "Airport 1",
      elevation: 1,
      opened: "2020-01-02 00:00:00",
    });
  });

  test("I8: its lifecycle webhooks come signed, one for each event, with the public payload", async () => {
    const requests = await subscriber.waitFor(4);
    const bodies = requests.map(({ body }) => JSON.parse(body.toString()) as Record<string, unknown>);
    expect(bodies.map((body) => String(body["event"])).sort()).toEqual([
      "sync.completed",
      "sync.started",
      "sync.success",
      "sync.triggered",
    ]);
    const ids = {
      workspace_id: 1,
      sync_id: await applied.id("sync", "airports_to_ops"),
      sync_run_id: firstRun,
    };
    expect(bodies).toContainEqual({ ...ids, event: "sync.completed", status: "ok" });
    expect(bodies).toContainEqual({ ...ids, event: "sync.triggered" });
    for (const { headers, body } of requests) {
      const secret = applied.secrets.get("pager") ?? "";
      expect(headers["x-signature"]).toBe(signBody(secret, body));
      // An independent library takes the same secret as it was shown.
      const standard = headers as Record<string, string>;
      expect(new StandardWebhook(secret).verify(body, standard)).toEqual(JSON.parse(body.toString()));
    }
  });

  test("sends only what changed on its next run, and nothing when nothing did", async () => {
    const before = destination.requests.length;
    await source.query(
      "update airports set name = 'Renamed' where iata in ('A3', 'A7'); insert into airports values ('B1', 'New', 1, null)",
    );
    const second = await triggerAndWait(egret, { sync: "airports_to_ops" });
    expect(keysOf(destination, before)).toEqual(["A3", "A7", "B1"]);
    expect(second.events.find(({ type }) => type === "sync.planned")?.data).toMatchObject({
      source_record_updates: 3,
      batches: 1,
    });
    const third = await triggerAndWait(egret, { sync: "airports_to_ops" });
    expect(third.events.at(-1)?.type).toBe("sync.success");
    expect(destination.requests).toHaveLength(before + 1);
  });

  test("counts rows that the destination refuses as failed, and sends them again on the next run", async () => {
    await source.query("update airports set name = 'Refused' where iata = 'A5'");
    destination.behave({ status: 422, body: "no" });
    const refused = await triggerAndWait(egret, { sync: "airports_to_ops" });
    expect(refused.events.at(-1)?.type).toBe("sync.success");
    expect(refused.events.find(({ type }) => type === "sync.loaded")?.data).toMatchObject({
      records_processed: 1,
      records_failed: 1,
      records_updated: 0,
    });
    destination.behave({});
    const before = destination.requests.length;
    await triggerAndWait(egret, { sync: "airports_to_ops" });
    expect(rowsOf(destination, before).map((row) => row["unique_id"])).toEqual(["A5"]);
  });

  test("sets rows with a NULL or repeated key aside and counts them one by one", async () => {
    await source.query("insert into airports values (null, 'x', 1, null), ('A1', 'twin', 1, null)");
    const { events } = await triggerAndWait(egret, { sync: "airports_to_ops" });
    expect(events.find(({ type }) => type === "sync.completed")?.data).toMatchObject({
      source_record_count: 28,
      source_record_invalids: 3,
      status: "ok",
    });
  });
});

describe("a destination without wrapping and bulk upload, with headers of its own", () => {
  test("gets one bare record in each request", async () => {
    const bare = await startReceiver();
    try {
      await applyYaml(
        egret,
        configuration
          .replace(
            "rate_limit_per_second",
            "wrap_data: false, use_bulk_upload: false, headers: { X-Team: ops }, rate_limit_per_second",
          )
          .replace(`${destination.url}/rows`, bare.url),
      );
      await triggerAndWait(egret, { sync: "airports_to_ops", force_full_sync: true });
      expect(bare.requests.length).toBeGreaterThan(20);
      for (const { body, headers } of bare.requests) {
        expect(JSON.parse(body.toString())).toMatchObject({ unique_id: expect.stringMatching(/^[AB]\d+$/) });
        expect(headers["x-team"]).toBe("ops");
      }
    } finally {
      await bare.close();
    }
  });
});

describe("a command", () => {
  test("for an unknown sync is refused with an event that names the known ones", async () => {
    const { events } = await triggerAndWait(egret, { sync: "airport" });
    expect(events[0]?.type).toBe("command.refused");
    expect(events[0]?.data).toMatchObject({
      code: "UNKNOWN_SYNC",
      message: expect.stringContaining("known: airports_to_ops"),
    });
  });

  test("published twice with one id starts one run", async () => {
    const id = "scheduler-2026-02-03T10";
    const [first, second] = [
      await triggerAndWait(egret, { sync: "airports_to_ops" }, { id }),
      await triggerAndWait(egret, { sync: "airports_to_ops" }, { id }),
    ];
    expect(second.runId).toBe(first.runId);
  });

  test.each([
    ["that is not JSON", "{nope", "the command is not JSON in UTF-8"],
    ["that does not fit its schema", '{"sync":""}', "sync: "],
  ])(
    "%s is refused for good, with an event that says why, and leaves the queue",
    async (_what, payload, message) => {
      const { connection } = egret.services;
      const id = randomUUID();
      await connection.js.publish(connection.topology.command(1, "trigger"), payload, { msgID: id });
      const commands = async () =>
        (await connection.jsm.streams.info(connection.topology.commandStream)).state.messages;
      await expect.poll(commands, { timeout: 10_000 }).toBe(0);
      const refused = await egret.services.log.last({ kind: "command", workspaceId: 1, commandId: id });
      expect(refused?.event.data).toMatchObject({
        code: "INVALID_COMMAND",
        message: expect.stringContaining(message),
      });
    },
  );
});
