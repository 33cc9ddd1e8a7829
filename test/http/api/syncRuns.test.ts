/** Runs over the API: listed, shown, canceled; dry runs, tests and previews. */
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { testApi } from "../../support/api.ts";
import { endOf, openSyncScene, type SyncScene } from "./syncScene.ts";

let scene: SyncScene;
beforeAll(async () => {
  scene = await openSyncScene();
});
afterEach(() => scene.receiver.behave({}));

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

function holdRuns(): () => void {
  const gate = Promise.withResolvers<void>();
  scene.receiver.behave(async () => {
    await gate.promise;
    return {};
  });
  return gate.resolve;
}

async function trigger(id: number, body?: object): Promise<number> {
  const answer = await scene.api.post(`/syncs/${id}/trigger`, body);
  expect(answer.status).toBe(200);
  return answer.body.data.sync_run_id;
}

const requestsSoFar = () => scene.receiver.requests.length;

describe("a run", () => {
  test("that completed has every field that clients read", async () => {
    const id = await scene.make();
    const runId = await trigger(id);
    await endOf(scene.api, runId);
    const { body } = await scene.api.get(`/sync_runs/${runId}`);
    expect(body.data).toEqual({
      id: runId,
      sync_id: id,
      sync_name: (await scene.api.get(`/syncs/${id}`)).body.data.resource_identifier,
      status: "completed",
      source_record_count: 3,
      source_record_updates: 3,
      source_record_deletes: 0,
      source_record_invalids: 0,
      records_invalid: 0,
      records_processed: 3,
      records_updated: 3,
      records_failed: 0,
      full_sync: true,
      full_sync_reasons: ["first_run"],
      canceled: false,
      error_code: null,
      error_message: null,
      error_detail: null,
      sync_trigger_reason: { ui_tag: "API", ui_detail: "API token test key" },
      scheduled_execution_time: null,
      created_at: TIME,
      updated_at: TIME,
      started_at: TIME,
      completed_at: TIME,
      run_kind: "normal",
      progress: null,
    });
  });

  test("that failed says why, has ended, and makes its sync Failing", async () => {
    await scene.warehouse("create table fleeting (id int primary key, name text)");
    const id = await scene.make({
      source_attributes: {
        connection_id: scene.ids.warehouse,
        object: { type: "table", name: "public.fleeting" },
      },
    });
    await scene.warehouse("drop table fleeting");
    const end = await endOf(scene.api, await trigger(id));
    expect(end).toMatchObject({
      status: "failed",
      canceled: false,
      completed_at: TIME,
      error_code: expect.stringMatching(/^SOURCE_/),
      error_message: expect.any(String),
      current_step: "Checking source and destination configuration",
      records_processed: null,
      records_updated: null,
      records_failed: null,
    });
    expect(end).toHaveProperty("error_detail");
    expect((await scene.api.get(`/syncs/${id}`)).body.data.status).toBe("Failing");
  });

  test("under way is working, without an end, and tells how far it is", async () => {
    const id = await scene.make();
    const release = holdRuns();
    const before = requestsSoFar();
    const runId = await trigger(id);
    await scene.receiver.waitFor((requests) => requests.length > before);
    const { body } = await scene.api.get(`/sync_runs/${runId}`);
    expect(body.data).toMatchObject({
      status: "working",
      completed_at: null,
      started_at: TIME,
      source_record_count: 3,
      current_step: "Loading data into destination service",
      progress: { current_step: expect.any(String), rows_read: expect.any(Number) },
    });
    release();
    expect(await endOf(scene.api, runId)).toMatchObject({ status: "completed", progress: null });
  });

  test("is nobody else's", async () => {
    const id = await scene.make();
    const runId = await trigger(id);
    const other = await testApi(scene.egret, { workspaceName: "elsewhere" });
    for (const answer of [
      await other.get(`/sync_runs/${runId}`),
      await other.post(`/sync_runs/${runId}/cancel`),
      await other.get(`/syncs/${id}/sync_runs`),
      await scene.api.get("/sync_runs/999999"),
      await scene.api.get("/sync_runs/first"),
      await scene.api.post("/sync_runs/999999/cancel"),
    ]) {
      expect([answer.status, answer.body.status, answer.body.message]).toEqual([404, 404, "Not found"]);
    }
    expect((await endOf(scene.api, runId)).status).toBe("completed");
  });
});

describe("GET /syncs/{id}/sync_runs", () => {
  test("lists newest first, by pages, and only normal runs unless asked", async () => {
    const id = await scene.make();
    const runs: number[] = [];
    for (let n = 0; n < 3; n++) {
      runs.unshift(await trigger(id));
      await endOf(scene.api, runs[0] as number);
    }
    const dry = await scene.api.post(`/syncs/${id}/dry_run`);
    await endOf(scene.api, dry.body.data.sync_run_id);
    const idsOf = (body: { data: { id: number }[] }) => body.data.map((run) => run.id);
    const all = await scene.api.get(`/syncs/${id}/sync_runs`);
    expect(idsOf(all.body)).toEqual(runs);
    expect(all.body.pagination).toMatchObject({ total_records: 3, page: 1, next_page: null, last_page: 1 });
    const first = await scene.api.get(`/syncs/${id}/sync_runs?per_page=1`);
    expect(first.body.data[0]).toMatchObject({ id: runs[0], sync_id: id, completed_at: TIME });
    const second = await scene.api.get(`/syncs/${id}/sync_runs?per_page=2&page=2`);
    expect(idsOf(second.body)).toEqual([runs[2]]);
    const oldest = await scene.api.get(`/syncs/${id}/sync_runs?order=asc&per_page=250`);
    expect(idsOf(oldest.body)).toEqual(runs.toReversed());
    const trials = await scene.api.get(`/syncs/${id}/sync_runs?run_kind=dry`);
    expect(idsOf(trials.body)).toEqual([dry.body.data.sync_run_id]);
    expect((await scene.api.get(`/syncs/${id}/sync_runs?run_kind=all`)).body.pagination.total_records).toBe(
      4,
    );
  });
});

describe("POST /sync_runs/{id}/cancel", () => {
  test("ends a run under way as failed and canceled, so that pollers stop", async () => {
    const id = await scene.make();
    const release = holdRuns();
    const before = requestsSoFar();
    const runId = await trigger(id);
    await scene.receiver.waitFor((requests) => requests.length > before);
    const { status, body } = await scene.api.post(`/sync_runs/${runId}/cancel`);
    expect([status, body]).toEqual([200, { status: "cancelled", data: {} }]);
    // Again while it ends: the same answer.
    expect((await scene.api.post(`/sync_runs/${runId}/cancel`)).status).toBe(200);
    release();
    expect(await endOf(scene.api, runId)).toMatchObject({
      status: "failed",
      canceled: true,
      error_code: "SYNC_CANCELED",
      error_message: "The run was canceled: API token test key",
      completed_at: TIME,
    });
    // It says nothing of whether the sync works.
    expect((await scene.api.get(`/syncs/${id}`)).body.data.status).toBe("Ready");
  });

  test("ends a waiting run at once, as the next GET shows", async () => {
    const id = await scene.make({ overlap_policy: "queue_one" });
    const release = holdRuns();
    const first = await trigger(id);
    const waiting = await trigger(id);
    expect((await scene.api.post(`/sync_runs/${waiting}/cancel`)).status).toBe(200);
    const { body } = await scene.api.get(`/sync_runs/${waiting}`);
    expect(body.data).toMatchObject({
      status: "failed",
      canceled: true,
      completed_at: TIME,
      started_at: null,
    });
    release();
    expect(await endOf(scene.api, first)).toMatchObject({ status: "completed" });
  });

  test("refuses a run that has ended, and changes nothing", async () => {
    const id = await scene.make();
    const runId = await trigger(id);
    const end = await endOf(scene.api, runId);
    const { status, body } = await scene.api.post(`/sync_runs/${runId}/cancel`);
    expect([status, body.status]).toEqual([409, "error"]);
    expect(body.message).toBe(`Run ${runId} cannot be canceled any more: it has ended: success.`);
    expect(await endOf(scene.api, runId)).toEqual({ ...end, updated_at: TIME });
  });
});

describe("trials", () => {
  test("a dry run tells what a run would do and sends nothing", async () => {
    const id = await scene.make();
    const before = requestsSoFar();
    const { status, body } = await scene.api.post(`/syncs/${id}/dry_run`);
    expect([status, body]).toEqual([200, { status: "success", data: { sync_run_id: expect.any(Number) } }]);
    const end = await endOf(scene.api, body.data.sync_run_id);
    expect(end).toMatchObject({
      status: "completed",
      run_kind: "dry",
      source_record_count: 3,
      dry_run: { expected_creates: 3, expected_updates: 0, expected_deletes: 0 },
      sync_trigger_reason: { ui_tag: "Dry Run" },
    });
    expect(requestsSoFar()).toBe(before);
    expect((await scene.api.get(`/syncs/${id}`)).body.data).toMatchObject({
      status: "Ready",
      last_run_id: null,
    });
  });

  test("a test sends one record, the one with the key or the first, and shows what was said", async () => {
    const id = await scene.make();
    for (const [body, key] of [
      [undefined, "1"],
      [{ identifier: "2" }, "2"],
      [{ identifier: 3 }, "3"],
    ] as const) {
      const asked = await scene.api.post(`/syncs/${id}/test`, body);
      expect([asked.status, asked.body.status]).toEqual([200, "success"]);
      const runId = asked.body.data.test_sync_run_id;
      await endOf(scene.api, runId);
      const shown = await scene.api.get(`/syncs/${id}/test_runs/${runId}`);
      expect(shown.body.data).toMatchObject({
        id: runId,
        sync_id: id,
        status: "completed",
        outcome: "accepted",
        http_status: 200,
        error_code: null,
        request: {
          method: "POST",
          url: expect.stringContaining("/ops"),
          body: expect.stringContaining(`"unique_id":${key}`),
        },
        response: { http_status: 200 },
      });
    }
    const other = await scene.make();
    const { body } = await scene.api.post(`/syncs/${id}/test`, { identifier: "77" });
    expect(await endOf(scene.api, body.data.test_sync_run_id)).toMatchObject({
      status: "failed",
      run_kind: "test",
    });
    expect((await scene.api.get(`/syncs/${other}/test_runs/${body.data.test_sync_run_id}`)).status).toBe(404);
  });

  test("a preview shows the first requests byte by byte", async () => {
    const id = await scene.make();
    const before = requestsSoFar();
    const { status, body } = await scene.api.post(`/syncs/${id}/preview`, { rows: 2 });
    expect([status, body.status]).toEqual([200, "success"]);
    expect(body.data).toMatchObject({ requests: [{ method: "POST", rows: 2 }], invalid: [] });
    expect(JSON.parse(body.data.requests[0].body)).toMatchObject({
      data: [{ unique_id: 1 }, { unique_id: 2 }],
    });
    expect(requestsSoFar()).toBe(before);
    expect((await scene.api.post(`/syncs/${id}/preview`, { rows: 0 })).body.errors[0].field).toBe("rows");
    expect((await scene.api.post("/syncs/999999/preview")).status).toBe(404);
  });

  test("one Idempotency-Key makes one dry run", async () => {
    const id = await scene.make();
    const headers = { "Idempotency-Key": "dry-1" };
    const first = await scene.api.post(`/syncs/${id}/dry_run`, {}, headers);
    const again = await scene.api.post(`/syncs/${id}/dry_run`, {}, headers);
    expect(again.body).toEqual(first.body);
    await endOf(scene.api, first.body.data.sync_run_id);
  });
});

test("a sync of its key alone sends just that", async () => {
  const id = await scene.make({
    mappings: [{ from: { type: "column", data: "id" }, to: "unique_id", is_primary_identifier: true }],
  });
  const before = requestsSoFar();
  expect(await endOf(scene.api, await trigger(id))).toMatchObject({
    status: "completed",
    records_updated: 3,
  });
  const sent = JSON.parse(scene.receiver.requests[before]?.body.toString() ?? "{}");
  expect(sent.data[0]).toEqual({ unique_id: 1 });
});
