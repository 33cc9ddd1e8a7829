/** Commands with a server elsewhere say what they say over its services. */
import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import type { ReplayWanted } from "../../src/domain/replay.ts";
import { ensureReplay } from "../../src/runtime/replays/replayStore.ts";
import { testApi } from "../support/api.ts";
import { type CliResult, runCli, startCli } from "../support/cli.ts";
import { objects, onlyObjectOf, openRemoteScene } from "./remoteScene.ts";

const { egret, source, receiver, applied, remote, local } = await openRemoteScene();
const onlyObject = (args: readonly string[], env: Record<string, string> = remote) => onlyObjectOf(args, env);

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
      ["records", "export", String(runId), "--key", "u7", "--status", "succeeded"],
      ["run", String(runId)],
      ["calls", "people", "--run", String(runId), "--full"],
      ["alerts"],
    ]) {
      const [there, here] = await both(args);
      expect({ args, ...there }).toEqual({ args, ...here });
      expect(there.code).toBe(0);
    }
    // Some thirty processes, one after the other.
  }, 240_000);

  test("show what happened in a run as the services do, with its batches and attempts", async () => {
    const runId = await runPeople();
    await delivered(runId);
    const [there, here] = await both(["run", String(runId), "--all"]);
    expect(there).toEqual(here);
    expect(there.stdout).toContain(`run/${runId}  people  completed`);
    expect(there.stdout).toMatch(/sync\.planned +25 rows to send in 3 batches/);
    expect(there.stdout).toContain("batches (3)");
    expect(there.stdout).toContain("HTTP 200 accepted");
    const [story, told] = await Promise.all([
      onlyObject(["run", String(runId)]),
      onlyObject(["run", String(runId)], local),
    ]);
    expect(story).toMatchObject({ run: { id: runId, sync_name: "people", status: "completed" } });
    expect(JSON.stringify(story["events"])).toBe(JSON.stringify(told["events"]));
  });

  test("show a run with tries in vain, a dry run and a failed one as the services do, and its alert", async () => {
    let tries = 0;
    receiver.behave(() => {
      tries += 1;
      return tries === 2 ? { status: 429, headers: { "retry-after": "0" } } : {};
    });
    const retried = await runPeople();
    await delivered(retried);
    receiver.behave({});
    const { run_id: dry } = await onlyObject(["dry-run", "other"]);
    await source.query("alter table people rename to gone");
    const { run_id: failed } = await onlyObject(["trigger", "other"]);
    const watched = await runCli(["run", String(failed), "--watch"], remote);
    await source.query("alter table gone rename to people");
    expect(watched.code).toBe(1);
    for (const runId of [retried, dry, failed]) {
      const [there, here] = await both(["run", String(runId)]);
      expect({ runId, ...there }).toEqual({ runId, ...here });
      expect(there.stdout).toContain(runId === dry ? "trial.completed" : "sync.completed");
    }
    const alerts = async () => objects(await runCli(["alerts", "--sync", "other", "--json"], remote));
    await expect.poll(async () => (await alerts()).length, { timeout: 30_000 }).toBeGreaterThan(0);
    const [alert] = await alerts();
    const [there, here] = await both(["alert", "show", String(alert!["id"])]);
    expect(there).toEqual(here);
    expect(there.stdout).toContain("alert.raised");
  }, 120_000);

  test("say why in the history of the run, behind the name of the token", async () => {
    const { run_id: runId } = await onlyObject([
      "trigger",
      "people",
      "--reason",
      "orders were late",
      "--watch",
    ]);
    const { stdout } = await runCli(["run", String(runId)], local);
    expect(stdout).toContain("people: API, API token test key: orders were late");
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

  test.each([
    [["preview", "people", "--rows", "12"]],
    [["preview", "people", "--json"]],
    [["preview", "poeple"]],
    [["preview", "people", "--workspace", "demo", "--rows", "1"]],
  ])("show the requests of a preview as the services do: %j", async (args) => {
    const before = receiver.requests.length;
    const [there, here] = await both(args);
    // A body tells when its run began.
    const withoutTime = (text: string) => text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+(?=Z|\+)/g, "then");
    expect({ ...there, stdout: withoutTime(there.stdout) }).toEqual({
      ...here,
      stdout: withoutTime(here.stdout),
    });
    if (there.code === 0) expect(there.stdout).toContain("name 1");
    else expect(there.stderr).toContain('Did you mean "people"?');
    expect(receiver.requests).toHaveLength(before);
  });

  test("end a preview with 1 where the sync does not fit its source, and take 100 rows at most", async () => {
    await source.query("alter table people rename to gone");
    try {
      const [there, here] = await both(["preview", "people"]);
      expect([there.code, here.code]).toEqual([1, 1]);
      // The services tell message and detail on a line each.
      const [message = ""] = here.stderr.split("\n");
      expect(message).toContain("people");
      expect(there.stderr).toContain(message);
    } finally {
      await source.query("alter table gone rename to people");
    }
    const { code, stderr } = await runCli(["preview", "people", "--rows", "101"], remote);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining("rows: Give a whole number from 1 to 100.") as string,
    });
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
    // Through the API and on the server it is the same switch.
    const off = async (env: Record<string, string>) =>
      (await runCli(["webhook", "disable", "pager"], env)).stdout;
    const said = await off(remote);
    expect(said).toContain("disabled, also for `egret apply`");
    expect(await onlyObject(["webhook", "enable", "pager"])).toMatchObject({
      enabled: true,
      changed: true,
      was_disabled: { reason: "operator" },
    });
    expect(await off(local)).toBe(said);
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

describe("replays with a server elsewhere", () => {
  const { db } = egret.services.database;

  /** A replay that no worker knows of. */
  async function idleReplay(): Promise<number> {
    const { rows } = await sql<{ id: number }>`select nextval('egret.replay_ids') as id`.execute(db);
    const { id: workspace_id } = await db
      .selectFrom("egret.workspaces")
      .select("id")
      .executeTakeFirstOrThrow();
    const id = rows[0]!.id;
    const wanted: ReplayWanted = { kind: "deliveries", states: ["dead"], until: new Date().toISOString() };
    const asked = { requested_by: "a test", rate_per_second: 7, wanted };
    await ensureReplay(db, { replay_id: id, workspace_id, ...asked }, new Date());
    return id;
  }

  test("are counted, begun, watched and listed as by the services", async () => {
    const runId = await runPeople();
    await delivered(runId);
    const args = ["replay", "start", "--run", String(runId), "--webhook", "pager", "--state", "delivered"];
    for (const more of [["--dry-run"], ["--dry-run", "--json"], ["--dry-run", "--sync", "other"]]) {
      const [there, here] = await both([...args, ...more]);
      expect({ more, ...there }).toEqual({ more, ...here });
      expect(there.stdout).toContain(more.includes("other") ? "0 deliveries" : "1");
    }
    const done = await onlyObject([...args, "--event", "completed", "--status", "200", "--watch"]);
    expect(done).toMatchObject({ state: "completed", total: 1, replayed: 1, skipped: {} });
    expect(done["wanted"]).toMatchObject({ http_status: 200, sync_run_id: runId });
    const since = new Date().toISOString();
    const missed = ["replay", "start", "--missed", "--webhook", "pager", "--since", since, "--rate", "9"];
    expect((await runCli([...missed, "--watch"], remote)).stdout).toMatch(
      /^replay \d+ completed: 0 deliveries begun again$/m,
    );
    for (const again of [
      ["replay", "list"],
      ["replay", "list", "--json", "--workspace", "demo"],
      ["replay", "list", "--limit", "1"],
      ["replay", "watch", String(done["replay_id"])],
      ["replay", "watch", String(done["replay_id"]), "--json"],
      ["replay", "cancel", String(done["replay_id"])],
    ]) {
      const [there, here] = await both(again);
      expect({ again, ...there }).toEqual({ again, ...here });
      expect(there.code).toBe(again.includes("cancel") ? 2 : 0);
    }
    // Some twenty processes, one after the other.
  }, 240_000);

  test("are cancelled once a worker has stopped, and until then it is said that none does", async () => {
    const id = await idleReplay();
    const args = ["replay", "cancel", String(id), "--timeout", "1"];
    const late = await runCli(args, remote);
    expect(late).toMatchObject({ code: 4, stdout: "" });
    expect(await runCli(args, local)).toEqual(late);
    const other = await idleReplay();
    const [watching, canceling] = [["watch"], ["cancel", "--timeout", "60"]].map(([verb = "", ...more]) =>
      startCli(["replay", verb, String(other), ...more, "--json"], remote),
    );
    const row = db.selectFrom("egret.replays").select("cancelled_by").where("id", "=", other);
    const wishedBy = async () => (await row.executeTakeFirstOrThrow()).cancelled_by;
    await expect.poll(wishedBy, { timeout: 30_000 }).toContain("test key");
    const end = { state: "cancelled", ended_at: new Date() } as const;
    await db.updateTable("egret.replays").set(end).where("id", "=", other).execute();
    const [watched, canceled] = await Promise.all([watching!.ended, canceling!.ended]);
    expect(JSON.parse(watched.stdout)).toMatchObject({ replay_id: other, state: "cancelled" });
    expect([watched.code, canceled.code]).toEqual([1, 0]);
  });

  test.each([
    [["replay", "watch", "999999"], "there is no replay 999999"],
    [["replay", "cancel", "999999"], "there is no replay 999999"],
    [["replay", "start"], "nothing narrows this replay"],
    [["replay", "start", "--webhook", "pagr"], 'Did you mean "pager"?'],
    [["replay", "start", "--webhook", "pager", "--since", "1h", "--until", "2h"], "the time range is empty"],
  ])("are refused as by the services: %j", async (args, message) => {
    const [there, here] = await both(args);
    const withoutTime = (text: string) => text.replaceAll(/\d{4}-\S+Z/g, "then");
    expect({ ...there, stderr: withoutTime(there.stderr) }).toEqual({
      ...here,
      stderr: withoutTime(here.stderr),
    });
    expect(there.code).toBe(2);
    expect(there.stderr).toContain(message);
  });

  test("are for one webhook", async () => {
    const { code, stderr } = await runCli(["replay", "start", "--all"], remote);
    expect(code).toBe(2);
    expect(stderr).toContain("name it with --webhook");
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
    ["retention"],
    ["state", "people"],
  ])("%s works on the server only, and says so when --url is given", async (...args) => {
    const { code, stderr } = await runCli([...args, "--url", egret.url], local);
    expect(code).toBe(2);
    expect(stderr).toContain("works on the server only");
  });
});
