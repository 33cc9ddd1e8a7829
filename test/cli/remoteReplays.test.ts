/** Replays and previews with a server elsewhere say what they say over its services. */
import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import type { ReplayWanted } from "../../src/domain/replay.ts";
import { ensureReplay } from "../../src/runtime/replays/replayStore.ts";
import { runCli, startCli } from "../support/cli.ts";
import { openRemoteScene } from "./remoteScene.ts";

const { egret, source, receiver, remote, local, onlyObject, both, runPeople, delivered } =
  await openRemoteScene();

describe("previews with a server elsewhere", () => {
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
