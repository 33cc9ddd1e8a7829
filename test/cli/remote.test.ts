import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../support/api.ts";
import { type CliResult, runCli } from "../support/cli.ts";
import { type AppliedYaml, applyYaml, type TestEgret, testEgret } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const PROGRAM = path.resolve(import.meta.dirname, "../../src/cli/egret.ts");

const warehouse = await testDatabase();
const egret: TestEgret = await testEgret();
let source: Client;
let receiver: Receiver;
let applied: AppliedYaml;
let api: TestApi;
let home: string;
/** A shell that knows of the server alone. */
let remote: Record<string, string>;
/** A shell that knows of the services alone. */
let local: Record<string, string>;

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query("create table people (id text primary key, name text)");
  await source.query("insert into people select 'u' || n, 'name ' || n from generate_series(1, 25) as n");
  receiver = await startReceiver();
  applied = await applyYaml(
    egret,
    `
workspace: demo
sources: { warehouse: { type: postgres, url: "${warehouse.url}" } }
destinations:
  hook: { type: webhook, url: "${receiver.url}/hook", batch_size: 10, rate_limit_per_second: null }
webhooks:
  pager: { endpoint: "${receiver.url}/pager", events: [sync.completed] }
syncs:
  people: { table: public.people, source: warehouse, destination: hook, key: id }
  other: { table: public.people, source: warehouse, destination: hook, key: id }
`,
  );
  api = await testApi(egret);
  home = await mkdtemp(path.join(tmpdir(), "egret-login-"));
  remote = {
    EGRET_URL: egret.url,
    EGRET_TOKEN: api.token,
    XDG_CONFIG_HOME: home,
    EGRET_DIR: path.join(home, "none"),
  };
  const { settings } = egret;
  local = {
    EGRET_DATABASE_URL: settings.databaseUrl,
    EGRET_NATS_URL: settings.natsUrl,
    EGRET_STREAM_PREFIX: settings.streamPrefix,
    EGRET_SECRET_KEY: settings.secretKeys[0] ?? "",
    EGRET_ALLOW_HTTP: "true",
    XDG_CONFIG_HOME: home,
  };
});
afterAll(async () => {
  await source.end();
  await receiver.close();
  await rm(home, { recursive: true });
});
beforeEach(() => receiver.behave({}));

/** The objects that a command printed, one a line. */
function objects(result: CliResult): Record<string, unknown>[] {
  expect(result).toMatchObject({ code: 0 });
  return result.stdout
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function onlyObject(args: readonly string[], env = remote): Promise<Record<string, unknown>> {
  const [only] = objects(await runCli([...args, "--json"], env));
  return only!;
}

async function runPeople(): Promise<number> {
  const end = await onlyObject(["trigger", "people", "--full", "--watch"]);
  expect(end).toMatchObject({ status: "success" });
  return end["run_id"] as number;
}

/** Waits until the webhook was told that a run ended, and returns that delivery. */
async function delivered(runId: number): Promise<Record<string, unknown>> {
  const query = [
    "deliveries",
    "list",
    "--run",
    String(runId),
    "--webhook",
    "pager",
    "--state",
    "delivered",
    "--json",
  ];
  const read = async () => objects(await runCli(query, remote));
  await expect.poll(async () => (await read()).length, { timeout: 30_000 }).toBe(1);
  return (await read())[0]!;
}

/** The same command over the API and over the services. */
async function both(args: readonly string[]): Promise<[CliResult, CliResult]> {
  return Promise.all([runCli(args, remote), runCli(args, local)]);
}

describe("commands with a server elsewhere", () => {
  test("start a run, watch it to its end and tell the same figures as the services do", async () => {
    const end = await onlyObject(["trigger", "people", "--full", "--watch"]);
    expect(end).toMatchObject({
      status: "success",
      records_processed: 25,
      records_updated: 25,
      records_failed: 0,
    });
    const watched = await runCli(["trigger", "people", "--watch"], remote);
    expect(watched).toMatchObject({ code: 0 });
    expect(watched.stdout).toMatch(/run \d+\n/);
    expect(watched.stdout).toContain("success in");
    expect(watched.stdout).toContain("25 rows in the source; 0 sent, 0 accepted, 0 rejected");
  });

  test("start no second run for the same --id", async () => {
    const first = await onlyObject(["trigger", "people", "--id", "same-1", "--watch"]);
    const again = await onlyObject(["trigger", "people", "--id", "same-1"]);
    expect(again["run_id"]).toBe(first["run_id"]);
  });

  test("exit with 1 when the run that they watch fails", async () => {
    await source.query("alter table people rename to gone");
    try {
      const { code, stdout, stderr } = await runCli(["trigger", "other", "--watch"], remote);
      expect(code).toBe(1);
      expect(stdout).toContain("failed in");
      expect(stderr).not.toBe("");
    } finally {
      await source.query("alter table gone rename to people");
    }
  });

  test("print runs, syncs, deliveries, records and alerts in the very tables of the services", async () => {
    const runId = await runPeople();
    await delivered(runId);
    for (const args of [
      ["runs", "--sync", "people", "--limit", "3"],
      ["runs", "--limit", "3"],
      ["sync", "list"],
      ["sync", "show", "people"],
      ["webhook", "list"],
      ["webhook", "list", "--json"],
      ["deliveries", "list", "--run", String(runId)],
      ["deliveries", "list", "--webhook", "pager"],
      ["deliveries", "show", `${runId}-1`],
      ["records", "list", String(runId), "--limit", "5"],
      ["records", "list", String(runId), "--json"],
      ["records", "find", "people", "--key", "u7", "--limit", "1", "--json"],
      ["records", "export", String(runId)],
      ["records", "export", String(runId), "--format", "csv"],
      ["calls", "people", "--run", String(runId), "--full"],
      ["alerts"],
    ]) {
      const [there, here] = await both(args);
      expect({ args, ...there }).toEqual({ args, ...here });
      expect(there.code).toBe(0);
    }
    // Some thirty processes, one after the other.
  }, 240_000);

  test("show a run with its batches and attempts", async () => {
    const runId = await runPeople();
    const { stdout } = await runCli(["run", String(runId)], remote);
    expect(stdout).toContain(`run/${runId}  people  completed`);
    expect(stdout).toContain("batches (3)");
    expect(stdout).toContain("HTTP 200 accepted");
    const [story] = objects(await runCli(["run", String(runId), "--json"], remote));
    expect(story).toMatchObject({ run: { id: runId, sync_name: "people", status: "completed" }, events: [] });
  });

  test("work out a dry run and send a test record", async () => {
    const dry = await onlyObject(["dry-run", "other"]);
    expect(dry).toMatchObject({ status: "completed", expected_creates: 25, batches: 3, stopped_by: null });
    const [there, here] = await both(["dry-run", "other"]);
    const withoutTime = (text: string) => text.replace(/ in [\d.]+ m?s/, "");
    expect(withoutTime(there.stdout)).toBe(withoutTime(here.stdout));
    const tested = await onlyObject(["test-sync", "people", "--key", "u3"]);
    expect(tested).toMatchObject({ outcome: "accepted", response: { http_status: 200 } });
    expect(JSON.stringify(tested)).toContain("name 3");
  });

  test("cancel a run, once", async () => {
    const release = Promise.withResolvers<void>();
    receiver.behave(async () => {
      await release.promise;
      return {};
    });
    const before = receiver.requests.length;
    const { run_id: runId } = await onlyObject(["trigger", "other", "--full"]);
    await receiver.waitFor(before + 1);
    const id = String(runId);
    expect(await onlyObject(["cancel", id, "--no-wait"])).toEqual({ run_id: runId, status: "canceling" });
    release.resolve();
    const watched = await runCli(["run", id, "--watch", "--json"], remote);
    expect(watched.code).toBe(1);
    expect(JSON.parse(watched.stdout)).toMatchObject({ run: { canceled: true, status: "failed" } });
    expect(await runCli(["cancel", id], remote)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("cannot be canceled any more") as string,
    });
  });

  test("pause and resume syncs and destinations, and switch webhooks", async () => {
    expect(await onlyObject(["sync", "pause", "people"])).toEqual({
      sync: "people",
      paused: true,
      changed: true,
    });
    expect(await onlyObject(["sync", "pause", "people"])).toEqual({
      sync: "people",
      paused: true,
      changed: false,
    });
    expect(await onlyObject(["sync", "resume", "people"])).toMatchObject({ paused: false, changed: true });
    expect(await onlyObject(["destination", "pause", "hook"])).toMatchObject({ paused: true, changed: true });
    expect(await onlyObject(["destination", "resume", "hook"])).toMatchObject({
      paused: false,
      changed: true,
    });
    expect(await onlyObject(["webhook", "disable", "pager"])).toMatchObject({
      enabled: false,
      changed: true,
    });
    expect(await onlyObject(["webhook", "enable", "pager"])).toMatchObject({ enabled: true, changed: true });
    // What an operator of the server disabled, the API enables too.
    expect((await runCli(["webhook", "disable", "pager"], local)).code).toBe(0);
    expect(await onlyObject(["webhook", "enable", "pager"])).toMatchObject({
      was_disabled: { reason: "operator" },
    });
    expect(await onlyObject(["webhook", "pause", "pager"])).toMatchObject({ paused: true, changed: true });
    expect(await onlyObject(["webhook", "resume", "pager"])).toMatchObject({ paused: false, changed: true });
  });

  test("try a destination, ping a webhook and rotate its secret", async () => {
    expect(await onlyObject(["destination", "test", "hook"])).toMatchObject({ name: "hook", ok: true });
    expect(await onlyObject(["webhook", "ping", "pager"])).toMatchObject({
      webhook: "pager",
      accepted: true,
      http_status: 200,
    });
    const { secret, previous_secret_until: until } = await onlyObject([
      "webhook",
      "rotate-secret",
      "pager",
      "--overlap",
      "1h",
    ]);
    expect(secret).not.toBe(applied.secrets.get("pager"));
    expect(Date.parse(until as string)).toBeGreaterThan(Date.now());
  });

  test("send a delivery to a webhook again", async () => {
    const runId = await runPeople();
    const delivery = await delivered(runId);
    const again = await onlyObject(["deliveries", "redeliver", String(delivery["id"])]);
    expect(again).toMatchObject({ delivery_id: delivery["id"] });
  });
});

describe("what a server elsewhere refuses", () => {
  test("names the nearest, and exits with 2", async () => {
    const { code, stderr } = await runCli(["trigger", "poeple"], remote);
    expect(code).toBe(2);
    expect(stderr).toBe('egret: there is no sync "poeple" in workspace demo. Did you mean "people"?\n');
    expect(await runCli(["run", "999999"], remote)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("there is no run 999999") as string,
    });
  });

  test("a token that is not accepted leads to egret login", async () => {
    const wrong = { ...remote, EGRET_TOKEN: "secret-token:wrong" };
    const { code, stderr } = await runCli(["runs"], wrong);
    expect(code).toBe(2);
    expect(stderr).toBe(
      `egret: the token is not accepted by ${egret.url}: run \`egret login ${egret.url}\`\n`,
    );
  });

  test("a right that the token has not is told", async () => {
    const { token } = await testApi(egret, { scopes: ["read"] });
    const { code, stderr } = await runCli(["trigger", "people"], { ...remote, EGRET_TOKEN: token });
    expect(code).toBe(2);
    expect(stderr).toContain("This needs the scope operate");
  });

  test("a server that does not answer is exit code 3", async () => {
    const { code, stderr } = await runCli(["runs"], { ...remote, EGRET_URL: "http://127.0.0.1:9" });
    expect(code).toBe(3);
    expect(stderr).toContain("http://127.0.0.1:9 cannot be reached");
  });

  test("another workspace than the token's is refused", async () => {
    const { code, stderr } = await runCli(["runs", "--workspace", "sales"], remote);
    expect(code).toBe(2);
    expect(stderr).toContain("the token is for workspace demo");
  });

  test.each([
    ["apply"],
    ["migrate"],
    ["tail"],
    ["projections", "rebuild"],
    ["doctor"],
    ["replay", "list"],
    ["state", "people"],
  ])("%s works on the server only, and says so when --url is given", async (...args) => {
    const { code, stderr } = await runCli([...args, "--url", egret.url], local);
    expect(code).toBe(2);
    expect(stderr).toContain("works on the server only");
  });
});

/** `egret login`, with the token sent by standard input. */
function login(input: string, args: readonly string[] = []): Promise<CliResult> {
  const env = { PATH: process.env["PATH"] ?? "", XDG_CONFIG_HOME: home };
  const child = spawn(process.execPath, [PROGRAM, "login", ...args], {
    env,
    stdio: ["pipe", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.end(input);
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
}

describe("egret login", () => {
  const file = () => path.join(home, "egret", "login.json");
  /** A shell that knows of nothing. */
  const bare = () => ({ XDG_CONFIG_HOME: home, EGRET_DIR: path.join(home, "none") });

  beforeEach(() => rm(path.join(home, "egret"), { recursive: true, force: true }));

  test("keeps server and token where only their owner reads them, and commands use them", async () => {
    const { code, stdout } = await login(`${api.token}\n`, [`${egret.url}/api/v1/`]);
    expect(code).toBe(0);
    expect(stdout).toBe(`Logged in to ${egret.url}, workspace demo; kept in ${file()}\n`);
    expect((await stat(file())).mode & 0o777).toBe(0o600);
    expect(JSON.parse(await readFile(file(), "utf8"))).toEqual({ url: egret.url, token: api.token });
    expect(await onlyObject(["whoami"], bare())).toMatchObject({ url: egret.url, workspace: "demo" });
    expect(objects(await runCli(["sync", "list", "--json"], bare())).map(({ name }) => name)).toEqual([
      "other",
      "people",
    ]);
  });

  test("keeps nothing that the server does not accept, and never prints the token", async () => {
    for (const [token, message] of [
      ["secret-token:wrong", "does not accept this token"],
      [api.personalToken, "does not let this token do it"],
      ["", "Token is missing"],
      ["with blanks", "has characters that no token has"],
    ] as const) {
      const { code, stdout, stderr } = await login(token, [egret.url]);
      expect(code).toBe(2);
      expect(stderr).toContain(message);
      if (token !== "") expect(stdout + stderr).not.toContain(token);
    }
    await expect(stat(file())).rejects.toThrow("ENOENT");
  });

  test("is forgotten by egret logout", async () => {
    await login(api.token, [egret.url]);
    expect((await runCli(["logout"], bare())).stdout).toContain("is gone");
    expect((await runCli(["logout"], bare())).stdout).toBe("There was no login.\n");
    const { code, stderr } = await runCli(["runs"], bare());
    expect(code).toBe(3);
    expect(stderr).toContain("egret login <url>");
  });

  test("does not take over from services that are set", async () => {
    await login(api.token, [egret.url]);
    const whoami = await onlyObject(["whoami"], local);
    expect(whoami).toEqual({ url: null, configured: true });
    expect((await onlyObject(["whoami", "--url", egret.url], local))["url"]).toBe(egret.url);
    expect((await onlyObject(["whoami"], { ...local, EGRET_URL: egret.url }))["url"]).toBe(egret.url);
  });

  test("its token goes to no other server", async () => {
    await login(api.token, [egret.url]);
    const { code, stderr } = await runCli(["runs", "--url", "http://127.0.0.1:9"], bare());
    expect(code).toBe(3);
    expect(stderr).toContain(
      "there is no token for http://127.0.0.1:9: run `egret login http://127.0.0.1:9`",
    );
  });

  test("a file that cannot be read is told, with what to do", async () => {
    await login(api.token, [egret.url]);
    await writeFile(file(), "{}");
    const { code, stderr } = await runCli(["runs"], bare());
    expect(code).toBe(2);
    expect(stderr).toContain("log in again");
  });

  test("an address with a token in it is refused, and not repeated", async () => {
    const { code, stderr } = await runCli(["runs", "--url", "https://bearer:hunter2@egret.example"], bare());
    expect(code).toBe(2);
    expect(stderr).toContain("must not hold a token");
    expect(stderr).not.toContain("hunter2");
  });
});
