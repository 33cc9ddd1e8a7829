import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openLogger } from "../../src/logger.ts";
import { ROLES, type RunningEgret, startEgret } from "../../src/main.ts";
import { ownInstallation, runCli, startCli } from "../support/cli.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const installation = await ownInstallation();
let dir: string;
let file: string;
let receiver: Receiver;
let egret: RunningEgret;
let source: Client;

const yaml = (mappings: string) => `workspace: people_ops
sources:
  db: { type: postgres, url: "${installation["EGRET_DATABASE_URL"]}" }
models:
  everyone: { source: db, query: "select id, name, city from public.people" }
destinations:
  hook: { type: webhook, url: "${receiver.url}", batch_size: 10, rate_limit_per_second: 1000, auth_token: "s3cret-t0ken" }
syncs:
  people: { model: everyone, destination: hook, key: id, mappings: [${mappings}] }
`;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "egret-cli-"));
  file = path.join(dir, "egret.yaml");
  receiver = await startReceiver();
  source = new Client({ connectionString: installation["EGRET_DATABASE_URL"] });
  await source.connect();
  await source.query(
    "create table public.people as select n as id, 'person ' || n as name, 'Rome' as city from generate_series(1, 25) n",
  );
  await writeFile(file, yaml("name"));
  egret = await startEgret({
    databaseUrl: installation["EGRET_DATABASE_URL"] ?? "",
    natsUrl: installation["EGRET_NATS_URL"] ?? "",
    secretKeys: [installation["EGRET_SECRET_KEY"] ?? ""],
    streamPrefix: installation["EGRET_STREAM_PREFIX"] ?? "",
    limits: { maxBytes: 64 * 1_048_576, deliveryRetentionDays: 30, replicas: 1 },
    roles: ROLES,
    http: { host: "127.0.0.1", port: 0 },
    concurrency: 20,
    allowHttp: true,
    outboundAllow: [],
    logger: openLogger({ level: "silent", pretty: false }),
  });
});

afterAll(async () => {
  await egret.close();
  await receiver.close();
  await source.end();
  await rm(dir, { recursive: true, force: true });
});

const json = (text: string) => JSON.parse(text) as Record<string, unknown>;

describe("looking before running", { concurrent: false, timeout: 180_000 }, () => {
  test("columns shows names and types of a model, a table and a query", async () => {
    expect((await runCli(["apply", "-f", file, "--yes"], installation)).code).toBe(0);
    const model = await runCli(["columns", "db", "--model", "everyone"], installation);
    expect(model.stdout.split("\n").map((line) => line.split(/\s+/))).toEqual([
      ["column", "type"],
      ["id", "integer"],
      ["name", "text"],
      ["city", "text"],
      [""],
    ]);
    const table = await runCli(["columns", "db", "--table", "people", "--json"], installation);
    expect(json(table.stdout.split("\n")[0] ?? "")).toEqual({ name: "id", type: "integer" });
    const query = path.join(dir, "query.sql");
    await writeFile(query, "select 1::numeric(5,2) as price");
    expect((await runCli(["columns", "db", "--query", query], installation)).stdout).toContain(
      "numeric(5,2)",
    );
    const none = await runCli(["columns", "db"], installation);
    expect(none.stderr).toContain("name one thing to look at");
    expect(none.code).toBe(2);
    expect((await runCli(["columns", "db", "--table", "nothing"], installation)).code).not.toBe(0);
  });

  test("preview writes the very bytes of the first request, and sends nothing", async () => {
    const before = receiver.requests.length;
    const { code, stdout, stderr } = await runCli(["preview", "people", "--rows", "2"], installation);
    expect(code).toBe(0);
    expect(stderr).toContain(`# POST ${receiver.url}/: 2 rows`);
    expect(json(stdout)).toMatchObject({
      operation: "changed",
      data: [
        { unique_id: 1, name: "person 1" },
        { unique_id: 2, name: "person 2" },
      ],
    });
    const asJson = json((await runCli(["preview", "people", "--rows", "11", "--json"], installation)).stdout);
    expect(asJson).toMatchObject({ requests: [{ rows: 10, method: "POST" }, { rows: 1 }], invalid: [] });
    expect(receiver.requests).toHaveLength(before);
  });

  test("dry-run shows the figures as a table, and as JSON", async () => {
    const { code, stdout } = await runCli(["dry-run", "people"], installation);
    expect(stdout).toMatch(
      /dry run of people in .*: nothing was sent\n {2}rows in the source +25\n {2}new or changed +25\n/,
    );
    expect(stdout).toMatch(
      /expected creates +25\n {2}expected updates +0\n {2}expected deletes +0\n {2}requests +3\n/,
    );
    expect(stdout).toContain("full sync (first_run): every valid row would be sent");
    expect(code).toBe(0);
    const figures = json((await runCli(["dry-run", "people", "--json"], installation)).stdout);
    expect(figures).toMatchObject({
      status: "completed",
      source_record_count: 25,
      expected_creates: 25,
      stopped_by: null,
    });
    const listed = await runCli(["run", String(figures["run_id"])], installation);
    expect(listed.stdout).toContain("trial.completed");
  });

  test("test-sync sends one record and shows what was said, without secrets", async () => {
    receiver.behave({ body: "thanks" });
    const good = await runCli(["test-sync", "people", "--key", "7"], installation);
    expect(good.stdout).toMatch(/the record was accepted/);
    expect(good.stdout).toContain(`> POST ${receiver.url}`);
    expect(good.stdout).toContain("> authorization: ***");
    expect(good.stdout).toContain('"name":"person 7"');
    expect(good.stdout).toMatch(/< HTTP 200 in [\s\S]*< thanks/);
    expect(good.stdout).not.toContain("s3cret");
    expect(good.code).toBe(0);
    receiver.behave({ status: 400, body: "what?" });
    const bad = await runCli(["test-sync", "people", "--json"], installation);
    expect(json(bad.stdout)).toMatchObject({
      outcome: "rejected",
      http_status: 400,
      response: { body: "what?" },
    });
    expect(bad.code).toBe(1);
    const none = await runCli(["test-sync", "people", "--key", "77"], installation);
    expect(none.stderr).toContain("The source has no row with that key");
    expect(none.code).toBe(1);
    receiver.behave({});
  });

  test("apply says beforehand how many rows a changed mapping sends again", async () => {
    expect((await runCli(["trigger", "people", "--watch"], installation)).code).toBe(0);
    await writeFile(file, yaml("name, city"));
    const added = await runCli(["apply", "-f", file, "--dry-run"], installation);
    expect(added.stdout).toContain(
      "sync people: the next run is a full sync (mapping_added) and sends 25 rows that the destination has accepted before again",
    );
    const asJson = json((await runCli(["apply", "-f", file, "--dry-run", "--json"], installation)).stdout);
    expect(asJson["resends"]).toEqual([{ sync: "people", reasons: ["mapping_added"], rows: 25 }]);
    await writeFile(file, yaml(""));
    expect((await runCli(["apply", "-f", file, "--dry-run"], installation)).stdout).not.toContain(
      "full sync",
    );
    await writeFile(file, yaml("name"));
  });

  test.each<[string, (text: string) => string, string[], number | null]>([
    [
      "template, key and operation",
      (text) =>
        text.replace(
          "key: id, mappings: [name]",
          "key: city, operation: mirror, mappings: [{ template: \"{{ record['name'] }}!\", to: name }]",
        ),
      ["operation_changed", "sync_key_changed", "mapping_changed"],
      25,
    ],
    // Nobody knows what that one holds.
    [
      "destination",
      (text) => text.replace("destination: hook", "destination: other"),
      ["destination_changed"],
      null,
    ],
  ])("apply says the same of another %s", async (_what, change, reasons, rows) => {
    const other = `  other: { type: webhook, url: "${receiver.url}" }\nsyncs:`;
    await writeFile(file, change(yaml("name").replace("syncs:", other)));
    const { stdout } = await runCli(["apply", "-f", file, "--dry-run", "--json"], installation);
    expect(json(stdout)["resends"]).toEqual([{ sync: "people", reasons, rows }]);
    await writeFile(file, yaml("name"));
  });

  test("run --watch follows a run to its end, and cancel ends it", async () => {
    await source.query("update public.people set name = name || '!'");
    const gate = Promise.withResolvers<undefined>();
    receiver.behave(async () => {
      await gate.promise;
      return {};
    });
    const { stdout } = await runCli(["trigger", "people", "--json"], installation);
    const runId = String(json(stdout)["run_id"]);
    const watching = startCli(["run", runId, "--watch"], installation);
    await watching.waitFor(/sync\.planned/);
    const canceling = startCli(["cancel", runId, "--json"], installation);
    await watching.waitFor(/sync\.cancel_requested +by egret cancel/);
    gate.resolve(undefined);
    const canceled = await canceling.ended;
    expect(json(canceled.stdout)).toMatchObject({
      run_id: Number(runId),
      status: "canceled",
      error_code: "SYNC_CANCELED",
    });
    expect(canceled.code).toBe(0);
    const watched = await watching.ended;
    expect(watched.stdout).toMatch(/sync\.failed +after .*: SYNC_CANCELED/);
    expect(watched.code).toBe(1);
    const again = await runCli(["cancel", runId], installation);
    expect(again.stderr).toContain("RUN_ENDED");
    expect(again.code).toBe(2);
    expect((await runCli(["cancel", "999999"], installation)).stderr).toContain("the log has no run 999999");
  });
});
