import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createHook, findHook, type HookKind, listHooks, revokeHook } from "../../src/configuration/hooks.ts";
import { type HookCommand, hookRoutes } from "../../src/http/hookRoutes.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { makeSync, makeWorkspace } from "../runtime/triggers/parts.ts";
import { testDatabase } from "../support/namespace.ts";

const ACCEPTED = { status: "accepted", data: { command_id: expect.stringMatching(/^hook-\d+-[\w-]+$/) } };

describe("POST /hooks/<token>", () => {
  let database: OpenDatabase;
  let syncId: number;
  const published: { workspaceId: number; command: HookCommand }[] = [];
  let nowMs = 0;
  const app = hookRoutes(
    {
      find: (token) => findHook(database.db, token),
      publish: async (workspaceId, command) => void published.push({ workspaceId, command }),
    },
    () => nowMs,
  );
  beforeAll(async () => {
    database = openDatabase((await testDatabase({ migrated: true })).url);
    await makeWorkspace(database);
    syncId = await makeSync(database, "airports");
  });
  afterAll(() => database.close());

  const make = (kind: HookKind = "generic") =>
    createHook(database.db, { workspaceId: 1, syncId, kind, actor: "test" });
  const post = (token: string, init: RequestInit = {}) =>
    app.request(`/hooks/${token}`, { method: "POST", ...init });
  const since = () => {
    const from = published.length;
    return () => published.slice(from).map(({ command }) => command);
  };

  test("starts the sync, with or without a body", async () => {
    const { id, token } = await make();
    const commands = since();
    for (const body of [undefined, "{}", "not json", "x".repeat(10_000)]) {
      const response = await post(token, body === undefined ? {} : { body });
      expect(response.status).toBe(202);
      expect(await response.json()).toEqual(ACCEPTED);
    }
    expect(commands()).toHaveLength(4);
    expect(new Set(commands().map((command) => command.id)).size).toBe(4);
    const payload = { sync: syncId, requested_via: "Inbound Hook", reason: `Hook ${id}` };
    expect(published.at(-1)).toEqual({ workspaceId: 1, command: { id: expect.any(String), payload } });
  });

  test("takes an Idempotency-Key: the same one is the same command, of this hook alone", async () => {
    const [one, other] = [await make(), await make()];
    const commands = since();
    const init = { headers: { "Idempotency-Key": "a key: with signs" } };
    for (const { token } of [one, one, other]) await post(token, init);
    const [first, second, third] = commands().map((command) => command.id);
    expect(second).toBe(first);
    expect(third).not.toBe(first);
    expect(first).toMatch(/^[\w-]{1,128}$/);
  });

  test("gives unknown, revoked and impossible tokens one and the same answer", async () => {
    const { id, token } = await make();
    expect(await revokeHook(database.db, { workspaceId: 1, id })).toBe(true);
    expect(await revokeHook(database.db, { workspaceId: 1, id })).toBe(false);
    const commands = since();
    const tokens = [token, token.slice(1), `${token.slice(0, -1)}*`, "x".repeat(4_000), "%00", "'--"];
    for (const wrong of tokens) {
      const response = await post(wrong);
      expect(response.status).toBe(404);
      expect(await response.text()).toBe('{"status":404,"message":"Not found"}');
    }
    expect(commands()).toEqual([]);
  });

  test("does not cut a longer token down to a known one", async () => {
    const { token } = await make();
    expect((await post(`${token}${"x".repeat(200)}`)).status).toBe(404);
  });

  test("keeps of a token its hash alone", async () => {
    const { token } = await make();
    const { rows } = await sql<{ text: string }>`select hooks::text as text from egret.hooks`.execute(
      database.db,
    );
    expect(rows.some(({ text }) => text.includes(token))).toBe(false);
    expect(token).toMatch(/^[\w-]{43}$/);
  });

  test("refuses a body that is too large, before it is read to its end", async () => {
    const { token } = await make();
    const response = await post(token, { body: "x".repeat(300 * 1024) });
    expect(response.status).toBe(413);
  });

  test("answers 429 with Retry-After beyond ten calls, and takes calls again after that time", async () => {
    const { token } = await make();
    const other = await make();
    const statuses: number[] = [];
    for (let call = 0; call < 12; call++) statuses.push((await post(token)).status);
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 202), 429, 429]);
    const refused = await post(token);
    const retryAfterS = Number(refused.headers.get("Retry-After"));
    expect(retryAfterS).toBe(2);
    expect((await post(other.token)).status).toBe(202);
    nowMs += retryAfterS * 1000 - 1;
    expect((await post(token)).status).toBe(429);
    nowMs += 1;
    expect((await post(token)).status).toBe(202);
  });

  test("notes when a hook was used, and shows no token", async () => {
    const { id, token } = await make();
    await post(token);
    const hook = (await listHooks(database.db, 1)).find((each) => each.id === id);
    expect(hook).toMatchObject({ syncName: "airports", lastUsedAt: expect.any(Date), revokedAt: null });
    expect(JSON.stringify(hook)).not.toContain(token);
  });

  describe("of dbt Cloud", () => {
    const notice = (data: object, more: object = {}) =>
      JSON.stringify({
        accountId: 1,
        eventId: "wev_1",
        eventType: "job.run.completed",
        ...more,
        data: { jobId: "12", jobName: "Nightly", runId: "77", runStatus: "Success", ...data },
      });

    test("starts when a run of a job completed with success, once for a repeated notice", async () => {
      const { token } = await make("dbt_cloud");
      const commands = since();
      for (let time = 0; time < 2; time++) expect((await post(token, { body: notice({}) })).status).toBe(202);
      expect(commands().map(({ payload }) => payload)).toEqual([
        { sync: syncId, requested_via: "dbt Cloud", reason: "Run 77 of job Nightly" },
        { sync: syncId, requested_via: "dbt Cloud", reason: "Run 77 of job Nightly" },
      ]);
      expect(new Set(commands().map((command) => command.id)).size).toBe(1);
    });

    test.each([
      ["a run that failed", notice({ runStatus: "Errored" })],
      ["a run that was cancelled", notice({ runStatus: "Cancelled" })],
      ["a run that began", notice({}, { eventType: "job.run.started" })],
      ["no JSON", "nothing"],
      ["nothing", ""],
    ])("takes %s, and starts nothing", async (_name, body) => {
      const { token } = await make("dbt_cloud");
      const commands = since();
      const response = await post(token, { body });
      expect(response.status).toBe(202);
      expect(await response.json()).toEqual({ status: "ignored", data: { command_id: null } });
      expect(commands()).toEqual([]);
    });
  });
});
