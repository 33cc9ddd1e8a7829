/** Commands with a server elsewhere say what they say over its services. */
import { describe, expect, test } from "vitest";
import { testApi } from "../support/api.ts";
import { runCli } from "../support/cli.ts";
import { objects, openRemoteScene } from "./remoteScene.ts";

const { egret, source, receiver, applied, remote, local, onlyObject, both, runPeople, delivered } =
  await openRemoteScene();

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
