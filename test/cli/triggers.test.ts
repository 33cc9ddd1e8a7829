import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applyChanges } from "../../src/configuration/apply.ts";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { findHook } from "../../src/configuration/hooks.ts";
import { planChanges } from "../../src/configuration/plan.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { openSecretBox } from "../../src/security/secretBox.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import { ownInstallation, runCli } from "../support/cli.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const installation = await ownInstallation();
const warehouse = await testDatabase();
let database: OpenDatabase;
let receiver: Receiver;

const egret = (...args: string[]) => runCli(args, installation);
const lines = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** Applies a file with these syncs, and says which of their fields the plan changed. */
async function apply(syncs: string): Promise<string[]> {
  const yaml = `workspace: demo
sources: { db: { type: postgres, url: "${warehouse.url}" } }
destinations: { ops: { type: webhook, url: "${receiver.url}/rows" } }
syncs:
${syncs}`;
  const box = openSecretBox([installation["EGRET_SECRET_KEY"]!]);
  const file = parseEgretFile(yaml, "egret.yaml", { env: {}, allowHttp: true });
  const describe = postgresSource.describeObject;
  const plan = await planChanges({ db: database.db, box, file, describe });
  await applyChanges({ db: database.db, box, plan, actor: "test" });
  return plan.changes
    .filter(({ action }) => action === "update")
    .flatMap(({ fields }) => fields.map(({ field }) => field));
}
const sync = (name: string, more = "") =>
  `  ${name}: { source: db, table: public.rows, destination: ops, key: id${more} }\n`;
const HOURLY = ", schedule: { frequency: hourly, minute: 5 }";

beforeAll(async () => {
  const source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query("create table rows (id int)");
  await source.end();
  receiver = await startReceiver();
  database = openDatabase(installation["EGRET_DATABASE_URL"]!);
});

afterAll(async () => {
  await database.close();
  await receiver.close();
});

describe("egret schedules, sync and hook", () => {
  test("list what starts each sync, and the next tick of its schedule", async () => {
    await apply(sync("load", HOURLY) + sync("report", ", sync_sequence: load") + sync("still"));
    const listed = lines((await egret("schedules", "--json")).stdout);
    expect(
      listed.map(({ sync_name, schedule_words, sync_sequence, paused }) => ({
        sync_name,
        schedule_words,
        sync_sequence,
        paused,
      })),
    ).toEqual([
      { sync_name: "load", schedule_words: "Hourly at minute 5", sync_sequence: null, paused: false },
      { sync_name: "report", schedule_words: "-", sync_sequence: "load", paused: false },
      { sync_name: "still", schedule_words: "-", sync_sequence: null, paused: false },
    ]);
    const next = new Date(String(listed[0]?.["next_tick_at"]));
    expect(next.getUTCMinutes()).toBe(5);
    expect(next.getTime()).toBeGreaterThan(Date.now() - 60_000);
    expect(listed[1]?.["next_tick_at"]).toBeNull();
    expect((await egret("schedules")).stdout).toMatch(/load +Hourly at minute 5 .*\n.*report .* load/);
  });

  test("pause a sync until it is resumed, whatever unchanged file is applied", async () => {
    const paused = lines((await egret("sync", "pause", "load", "--json")).stdout);
    expect(paused).toEqual([{ sync: "load", paused: true, changed: true }]);
    expect((await egret("sync", "pause", "load")).stdout).toMatch(/paused already/);
    const unchanged = sync("load", HOURLY) + sync("report", ", sync_sequence: load") + sync("still");
    expect(await apply(unchanged)).toEqual([]);
    expect(lines((await egret("schedules", "--json")).stdout)[0]).toMatchObject({
      sync_name: "load",
      paused: true,
      next_tick_at: null,
    });
    expect((await egret("sync", "resume", "load")).stdout).toMatch(/resumed/);
    expect(lines((await egret("schedules", "--json")).stdout)[0]).toMatchObject({
      paused: false,
      next_tick_at: expect.any(String),
    });
  });

  test("say that a sync stays paused which egret.yaml pauses", async () => {
    expect(await apply(sync("load", `${HOURLY}, paused: true`))).toEqual(["paused"]);
    expect((await egret("sync", "resume", "load")).stdout).toMatch(/stays paused.*egret.yaml/);
    expect(await apply(sync("load", HOURLY))).toEqual(["paused"]);
    expect(lines((await egret("schedules", "--json")).stdout)[0]).toMatchObject({ paused: false });
  });

  test("apply an unchanged schedule without a change, and tell of a changed one", async () => {
    expect(await apply(sync("load", HOURLY))).toEqual([]);
    expect(await apply(sync("load", ", schedule: { frequency: daily, hour: 24 }"))).toEqual(["schedule"]);
    expect(lines((await egret("schedules", "--json")).stdout)[0]).toMatchObject({
      schedule_words: "Daily at 00:00 UTC",
    });
  });

  test("name a sync that is not there, and the nearest", async () => {
    const { code, stderr } = await egret("sync", "pause", "lod");
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/no sync "lod".*load/);
  });

  test("make a hook whose address is shown once, list it without, and revoke it", async () => {
    const made = lines((await egret("hook", "create", "load", "--json")).stdout)[0] ?? {};
    expect(made).toMatchObject({
      sync: "load",
      kind: "generic",
      path: expect.stringMatching(/^\/hooks\/[\w-]{43}$/),
    });
    const token = String(made["path"]).slice("/hooks/".length);
    expect(await findHook(database.db, token)).toMatchObject({ id: made["hook_id"] });
    const list = await egret("hook", "list", "--json");
    expect(list.stdout).not.toContain(token);
    expect(lines(list.stdout)).toEqual([
      expect.objectContaining({ hook_id: made["hook_id"], sync: "load", revoked_at: null }),
    ]);
    expect((await egret("hook", "revoke", String(made["hook_id"]))).stdout).toMatch(/revoked/);
    expect(await findHook(database.db, token)).toBeNull();
    const again = await egret("hook", "revoke", String(made["hook_id"]));
    expect(again.code).not.toBe(0);
    expect(again.stderr).toMatch(/no hook \d+ in force/);
  });

  test("show the whole address of a hook where it is known", async () => {
    const env = { ...installation, EGRET_PUBLIC_URL: "https://egret.example/" };
    const { stdout } = await runCli(["hook", "create", "load"], env);
    expect(stdout).toMatch(/ POST https:\/\/egret\.example\/hooks\/[\w-]{43}$/m);
  });

  test("make hooks for dbt Cloud", async () => {
    const { stdout } = await egret("hook", "create", "load", "--dbt-cloud", "--json");
    expect(lines(stdout)[0]).toMatchObject({ kind: "dbt_cloud" });
  });
});
