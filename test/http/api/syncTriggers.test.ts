/** Starting runs over the API, as Airflow, Dagster, Prefect, Shipyard and others do. */
import { sql } from "kysely";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { type AskedOfRun, acceptTrigger, releaseSync } from "../../../src/engine/claims.ts";
import { doorCommandId } from "../../../src/runtime/triggers/doorCommandId.ts";
import { startUnbegunRuns } from "../../../src/runtime/triggers/unbegunRuns.ts";
import { askApi, testApi } from "../../support/api.ts";
import { endOf, openSyncScene, type SyncScene } from "./syncScene.ts";

let scene: SyncScene;
beforeAll(async () => {
  scene = await openSyncScene();
});
afterEach(() => scene.receiver.behave({}));

/** A run stays under way until `release` is called. */
function holdRuns(): () => void {
  const gate = Promise.withResolvers<void>();
  scene.receiver.behave(async () => {
    await gate.promise;
    return {};
  });
  return gate.resolve;
}

const trigger = async (id: number, body?: unknown, query = "") => {
  const answer = await scene.api.post(`/syncs/${id}/trigger${query}`, body);
  expect([answer.status, answer.body.status]).toEqual([200, "success"]);
  expect(answer.body.data).toEqual({ sync_run_id: expect.any(Number) });
  return answer.body.data.sync_run_id as number;
};
const runOf = async (runId: number) => (await scene.api.get(`/sync_runs/${runId}`)).body.data;

describe("POST /syncs/{id}/trigger", () => {
  test("starts a run that can be read at once and is polled to its end", async () => {
    const id = await scene.make();
    const runId = await trigger(id);
    const { status, body } = await scene.api.get(`/sync_runs/${runId}`);
    expect([status, body.status]).toEqual([200, "success"]);
    expect(body.data).toMatchObject({
      id: runId,
      sync_id: id,
      sync_trigger_reason: { ui_tag: "API", ui_detail: "API token test key" },
      scheduled_execution_time: null,
    });
    expect(["working", "completed"]).toContain(body.data.status);
    const end = await endOf(scene.api, runId);
    expect(end).toMatchObject({ status: "completed", records_updated: 3, full_sync: true });
    expect((await scene.api.get(`/syncs/${id}`)).body.data).toMatchObject({
      last_run_id: runId,
      status: "Up to Date",
    });
  });

  test.each([
    ["Airflow, Prefect and the demo: no body, no content type", { headers: {} }],
    [
      "Terraform and Shipyard: a JSON content type and nothing",
      { headers: { "Content-Type": "application/json" } },
    ],
    [
      "Dagster: a JSON body with a version in its type",
      { headers: { "Content-Type": "application/json;version=2" }, body: '{"force_full_sync": false}' },
    ],
    ["an empty object", { headers: { "Content-Type": "application/json" }, body: "{}" }],
  ])("takes %s", async (_who, { headers, body }: { headers: Record<string, string>; body?: string }) => {
    const id = await scene.make();
    const path = `/syncs/${id}/trigger`;
    const answer = await askApi(scene.egret.url, scene.api.token, { method: "POST", path, headers, body });
    expect([answer.status, answer.body.status]).toEqual([200, "success"]);
    await endOf(scene.api, answer.body.data.sync_run_id);
  });

  test("takes the token in the address, as a pasted trigger URL has it", async () => {
    const id = await scene.make();
    const basic = Buffer.from(`bearer:${scene.api.token}`).toString("base64");
    const answer = await askApi(scene.egret.url, null, {
      method: "POST",
      path: `/syncs/${id}/trigger`,
      headers: { Authorization: `Basic ${basic}` },
    });
    expect(answer.status).toBe(200);
    await endOf(scene.api, answer.body.data.sync_run_id);
  });

  test.each([
    ["?force_full_sync=true", undefined, true],
    ["?force_full_sync=false", undefined, false],
    ["", { force_full_sync: true }, true],
    ["", { force_full_sync: false }, false],
    ["?force_full_sync=false", { force_full_sync: true }, false],
    ["", undefined, false],
  ])("reads force_full_sync from %j and %j", async (query, body, isFull) => {
    const id = await scene.make();
    await endOf(scene.api, await trigger(id));
    const end = await endOf(scene.api, await trigger(id, body, query));
    expect([end.full_sync, end.records_processed]).toEqual([isFull, isFull ? 3 : 0]);
  });

  test("refuses what is neither true nor false, and a full sync of an append sync", async () => {
    const id = await scene.make({ operation: "append" });
    for (const [path, body] of [
      ["?force_full_sync=maybe", undefined],
      ["", { force_full_sync: "maybe" }],
      ["?force_full_sync=true", undefined],
    ] as const) {
      const answer = await scene.api.post(`/syncs/${id}/trigger${path}`, body);
      expect([answer.status, answer.body.errors[0].field]).toEqual([400, "force_full_sync"]);
    }
    expect((await scene.api.get(`/syncs/${id}/sync_runs`)).body.data).toEqual([]);
  });

  test("tells in the run's history who asked, and why when they say so", async () => {
    const id = await scene.make();
    const runId = await trigger(id, { reason: "  orders were loaded anew " });
    expect((await runOf(runId)).sync_trigger_reason).toEqual({
      ui_tag: "API",
      ui_detail: "API token test key: orders were loaded anew",
    });
    await endOf(scene.api, runId);
    for (const reason of [null, ""]) {
      const plain = await trigger(id, { reason });
      expect((await runOf(plain)).sync_trigger_reason.ui_detail).toBe("API token test key");
      await endOf(scene.api, plain);
    }
  });

  test.each([
    ["longer than 500 characters", "x".repeat(501)],
    ["of several lines", "one\ntwo"],
    ["with a colour code", "\u001B[31mred"],
    ["with a token", "by secret-token:abc"],
    ["with a password in an address", "see https://me:hunter2@ci.example/1"],
    ["that is no text", 7],
  ])("refuses a reason %s, does not repeat it, and starts nothing", async (_what, reason) => {
    const id = await scene.make();
    const { status, body } = await scene.api.post(`/syncs/${id}/trigger`, { reason });
    expect([status, body.errors[0].field]).toEqual([400, "reason"]);
    expect(JSON.stringify(body)).not.toMatch(/hunter2|secret-token:abc/);
    expect((await scene.api.get(`/syncs/${id}/sync_runs`)).body.data).toEqual([]);
  });

  test("gives back the run that is under way, to all who ask, and starts one", async () => {
    const id = await scene.make();
    const release = holdRuns();
    const runs = await Promise.all(
      Array.from({ length: 40 }, async () => {
        const runId = await trigger(id);
        // Each can read it right away.
        expect((await scene.api.get(`/sync_runs/${runId}`)).status).toBe(200);
        return runId;
      }),
    );
    expect(new Set(runs).size).toBe(1);
    expect(await trigger(id)).toBe(runs[0]);
    release();
    await endOf(scene.api, runs[0] as number);
    const { body } = await scene.api.get(`/syncs/${id}/sync_runs`);
    expect(body.data.map((run: { id: number }) => run.id)).toEqual([runs[0]]);
    expect(await trigger(id)).not.toBe(runs[0]);
  });

  test("does not pass a run off as the full sync that was asked for", async () => {
    const id = await scene.make();
    const release = holdRuns();
    const runId = await trigger(id);
    const answer = await scene.api.post(`/syncs/${id}/trigger?force_full_sync=true`);
    expect(answer.status).toBe(409);
    expect(answer.body.message).toContain(`run ${runId} is under way, and was triggered without`);
    release();
    await endOf(scene.api, runId);
    const full = await trigger(id, { force_full_sync: true, allow_deletes: true });
    // It has what is asked for, as long as it is under way.
    await endOf(scene.api, full);
  });

  test("lets one run wait where the sync says queue_one", async () => {
    const id = await scene.make({ overlap_policy: "queue_one" });
    const release = holdRuns();
    const first = await trigger(id);
    const waiting = await Promise.all([trigger(id), trigger(id), trigger(id)]);
    expect(new Set(waiting).size).toBe(1);
    expect(waiting[0]).not.toBe(first);
    expect(await runOf(waiting[0])).toMatchObject({ status: "working", completed_at: null });
    release();
    expect(await endOf(scene.api, waiting[0])).toMatchObject({ status: "completed" });
  });

  test("starts a paused sync too", async () => {
    const id = await scene.make({ paused: true });
    expect(await endOf(scene.api, await trigger(id))).toMatchObject({ status: "completed" });
  });

  test("answers 404 for a sync of nobody, of another workspace, and for what is no id", async () => {
    const id = await scene.make();
    const other = await testApi(scene.egret, { workspaceName: "elsewhere" });
    for (const answer of [
      await other.post(`/syncs/${id}/trigger`),
      await scene.api.post("/syncs/999999/trigger"),
      await scene.api.post("/syncs/people_to_ops/trigger"),
    ]) {
      expect([answer.status, answer.body.status]).toEqual([404, 404]);
    }
    expect((await scene.api.get(`/syncs/${id}/sync_runs`)).body.data).toEqual([]);
  });

  test("one Idempotency-Key makes one run, also when its answer was lost", async () => {
    const id = await scene.make();
    const headers = { "Idempotency-Key": "load 2026-02-03" };
    const path = `/syncs/${id}/trigger`;
    const first = await scene.api.post(path, {}, headers);
    await endOf(scene.api, first.body.data.sync_run_id);
    const kept = await scene.api.post(path, {}, headers);
    expect(kept.body).toEqual(first.body);
    // As if the process had died between starting the run and keeping its answer.
    await sql`delete from egret.api_idempotency`.execute(scene.egret.services.database.db);
    const lost = await scene.api.post(path, {}, headers);
    expect(lost.body).toEqual(first.body);
    // A day later the key is a new one.
    const { db } = scene.egret.services.database;
    await sql`delete from egret.api_idempotency`.execute(db);
    await sql`update egret.accepted_commands set accepted_at = now() - interval '25 hours'
      where run_id = ${first.body.data.sync_run_id}`.execute(db);
    const later = await scene.api.post(path, {}, headers);
    expect(later.body.data.sync_run_id).toBeGreaterThan(first.body.data.sync_run_id);
    await endOf(scene.api, later.body.data.sync_run_id);
  });

  test("reads its own writes with many syncs triggered at once", async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, (_, n) => scene.make({ label: `load ${n}` })));
    await Promise.all(
      ids.map(async (id) => {
        for (let turn = 0; turn < 3; turn++) {
          const runId = await trigger(id);
          expect((await scene.api.get(`/sync_runs/${runId}`)).status).toBe(200);
          const { body } = await scene.api.get(`/syncs/${id}/sync_runs?per_page=1`);
          expect(body.data[0].id).toBe(runId);
          expect((await scene.api.get(`/syncs/${id}`)).body.data.last_run_id).toBe(runId);
          const end = await endOf(scene.api, runId);
          expect(end.status).toBe("completed");
          expect((await scene.api.get(`/syncs/${id}/sync_runs?per_page=1`)).body.data[0]).toMatchObject({
            id: runId,
            completed_at: end.completed_at,
          });
        }
      }),
    );
  });
});

describe("a run that a process accepted and did not live to begin", () => {
  const reason = "API token load: orders were loaded anew";
  const claim = async (wishes: Partial<AskedOfRun> = {}, commandId = doorCommandId(null)) => {
    const id = await scene.make();
    const { db } = scene.egret.services.database;
    const asked: AskedOfRun = { force_full_sync: false, requested_via: "API", ...wishes };
    const { workspaceId } = scene.api;
    const claimed = await acceptTrigger(db, { workspaceId, commandId, syncId: id, reason, asked });
    return { id, runId: claimed.runId, db };
  };
  /** As its first event has it, and as the API shows it. */
  const beginningOf = async (runId: number) => {
    const { body } = await scene.api.get(`/sync_runs/${runId}/events`);
    const { sync_trigger_reason, scheduled_execution_time } = await runOf(runId);
    expect(body.data[0]).toMatchObject({
      type: "sync.triggered",
      data: { sync_trigger_reason, scheduled_execution_time },
    });
    return body.data[0].data;
  };

  test("is begun by the next trigger of its sync, which gets it, with the reason of who asked first", async () => {
    const { id, runId } = await claim();
    expect(await trigger(id, { reason: "another" })).toBe(runId);
    expect(await endOf(scene.api, runId)).toMatchObject({ status: "completed" });
    expect(await beginningOf(runId)).toMatchObject({
      sync_trigger_reason: { ui_tag: "API", ui_detail: reason },
      force_full_sync: false,
    });
  });

  test("is begun by the next trigger as the tick that a schedule's command had claimed it for", async () => {
    const scheduled_execution_time = "2026-02-03T10:00:00.000Z";
    const { id, runId } = await claim(
      { requested_via: "Schedule", scheduled_execution_time, force_full_sync: true },
      "schedule-tick-1",
    );
    const more = await scene.api.post(`/syncs/${id}/trigger`, { allow_rejects: true, reason: "another" });
    expect([more.status, more.body.message]).toEqual([
      409,
      expect.stringContaining(`allow_rejects: run ${runId} is under way`) as string,
    ]);
    expect((await endOf(scene.api, runId)).full_sync_reasons).toContain("user_requested");
    const began = await beginningOf(runId);
    expect(began).toMatchObject({
      command_id: "schedule-tick-1",
      sync_trigger_reason: { ui_tag: "Schedule", ui_detail: reason },
      scheduled_execution_time,
      force_full_sync: true,
    });
    expect(began.allow_rejects).toBeUndefined();
  });

  test("is begun by the next trigger as what it was asked for, and who asks for more is refused", async () => {
    const { id, runId } = await claim({ force_full_sync: true });
    const more = await scene.api.post(`/syncs/${id}/trigger?allow_deletes=true`);
    expect([more.status, more.body.message]).toEqual([
      409,
      expect.stringContaining(`allow_deletes: run ${runId} is under way`) as string,
    ]);
    const end = await endOf(scene.api, runId);
    expect(end).toMatchObject({ status: "completed", full_sync: true });
    expect(end.full_sync_reasons).toContain("user_requested");
    const began = await beginningOf(runId);
    expect(began).toMatchObject({ force_full_sync: true, sync_trigger_reason: { ui_detail: reason } });
    expect(began.allow_deletes).toBeUndefined();
  });

  test("is begun by itself, as what it was asked for", async () => {
    const { id, runId, db } = await claim({ force_full_sync: true });
    const { log } = scene.egret.services;
    const lines: unknown[] = [];
    const logger = { info: (line: unknown) => lines.push(line), warn: (line: unknown) => lines.push(line) };
    const sweep = startUnbegunRuns({ db, log, logger, olderThanMs: 0, everyMs: 3_600_000 });
    const young = startUnbegunRuns({ db, log, logger, everyMs: 3_600_000 });
    try {
      expect(await young.look()).toBe(0);
      expect(await sweep.look()).toBe(1);
      expect(await sweep.look()).toBe(0);
    } finally {
      await Promise.all([sweep.stop(), young.stop()]);
    }
    expect(lines).toEqual([{ run: runId, sync: id }]);
    expect((await endOf(scene.api, runId)).full_sync_reasons).toContain("user_requested");
    expect((await beginningOf(runId)).sync_trigger_reason).toEqual({ ui_tag: "API", ui_detail: reason });
  });

  test("was claimed by the API's own trigger, with its reason and its wishes", async () => {
    const id = await scene.make();
    const runId = await trigger(id, { reason: "orders were loaded anew", force_full_sync: true });
    const { rows } =
      await sql`select reason, asked from egret.accepted_commands where run_id = ${runId}`.execute(
        scene.egret.services.database.db,
      );
    expect(rows).toEqual([
      {
        reason: "API token test key: orders were loaded anew",
        asked: { force_full_sync: true, requested_via: "API" },
      },
    ]);
    await endOf(scene.api, runId);
  });

  test("is begun by itself also where what was asked was not kept yet", async () => {
    const { runId, db } = await claim();
    await sql`update egret.accepted_commands set reason = null, asked = null where run_id = ${runId}`.execute(
      db,
    );
    const { log } = scene.egret.services;
    const logger = { info: () => {}, warn: () => {} };
    const sweep = startUnbegunRuns({ db, log, logger, olderThanMs: 0, everyMs: 3_600_000 });
    try {
      expect(await sweep.look()).toBe(1);
    } finally {
      await sweep.stop();
    }
    expect(await endOf(scene.api, runId)).toMatchObject({ status: "completed" });
    const { ui_tag, ui_detail } = (await beginningOf(runId)).sync_trigger_reason;
    expect([ui_tag, ui_detail]).toEqual(["API", expect.stringContaining("ended meanwhile")]);
  });

  test("that ended without a beginning frees its sync", async () => {
    const { id, runId, db } = await claim();
    await releaseSync(db, id, runId);
    expect(await trigger(id)).toBeGreaterThan(runId);
  });
});
