/** What happened in runs over the API: all runs of a workspace, the events of one, and what was delivered for it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { endOf, openSyncScene, type SyncScene } from "./syncScene.ts";

let scene: SyncScene;
let stranger: TestApi;
let releaseRuns = () => {};
const syncs: number[] = [];
/** Of the first sync two that completed, of the second one that failed, in the order of ids. */
const runs: number[] = [];
/** A dry run of the first sync. */
let dryRun: number;

beforeAll(async () => {
  scene = await openSyncScene({ apiRequestsPerSecond: 0 });
  stranger = await testApi(scene.egret, { workspaceName: "stranger" });
  await scene.api.post("/webhooks", {
    name: "pager",
    endpoint: `${scene.receiver.url}/pager`,
    events: ["sync.completed"],
  });
  syncs.push(await scene.make(), await scene.make({ label: "To fail" }));
  const [first = 0, second = 0] = syncs;
  runs.push(await ranTo(first, "completed"), await ranTo(first, "completed"));
  await scene.warehouse("alter table people rename to hidden");
  runs.push(await ranTo(second, "failed"));
  await scene.warehouse("alter table hidden rename to people");
  dryRun = (await scene.api.post(`/syncs/${first}/dry_run`)).body.data.sync_run_id;
  await endOf(scene.api, dryRun);
}, 120_000);
afterAll(() => releaseRuns());

async function ranTo(sync: number, status: string): Promise<number> {
  const { body } = await scene.api.post(`/syncs/${sync}/trigger`, { force_full_sync: true });
  const runId: number = body.data.sync_run_id;
  expect(await endOf(scene.api, runId)).toMatchObject({ status });
  return runId;
}

interface Listed {
  id: number | string;
  type: string;
  version: number;
}
const listed = async (path: string): Promise<Listed[]> => {
  const { status, body } = await scene.api.get(path);
  expect([path, status]).toEqual([path, 200]);
  return body.data;
};
const idsOf = async (query: string) => (await listed(`/sync_runs?${query}`)).map(({ id }) => id);
const typesOf = async (path: string) => (await listed(path)).map(({ type }) => type);

/** Ids or versions of a whole list, by pages and then by cursors of two. */
async function walked(path: string, key: "id" | "version"): Promise<(number | string)[][]> {
  const keys = (data: Listed[]) => data.map((each) => each[key]);
  const byPage: (number | string)[] = [];
  const byCursor: (number | string)[] = [];
  const sign = path.includes("?") ? "&" : "?";
  for (let page: number | null = 1; page !== null; ) {
    const { body } = await scene.api.get(`${path}${sign}per_page=2&page=${page}`);
    byPage.push(...keys(body.data));
    page = body.pagination.next_page;
  }
  for (let cursor: string | null = ""; cursor !== null; ) {
    const place: string = cursor === "" ? "" : `&cursor=${cursor}`;
    const { body } = await scene.api.get(`${path}${sign}per_page=2${place}`);
    byCursor.push(...keys(body.data));
    cursor = body.pagination.next_cursor;
  }
  return [byPage, byCursor];
}

describe("GET /sync_runs", () => {
  test("lists the runs of all syncs with their names, newest first, without dry and test runs", async () => {
    const { body } = await scene.api.get("/sync_runs");
    expect(body.data.map(({ id }: { id: number }) => id)).toEqual(runs.toReversed());
    expect(body.pagination).toMatchObject({ total_records: 3, last_page: 1, next_page: null });
    const { resource_identifier: name } = (await scene.api.get(`/syncs/${syncs[1]}`)).body.data;
    expect(body.data[0]).toEqual((await scene.api.get(`/sync_runs/${runs[2]}`)).body.data);
    expect(body.data[0]).toMatchObject({ sync_id: syncs[1], sync_name: name });
    expect((await stranger.get("/sync_runs?run_kind=all")).body).toMatchObject({
      data: [],
      pagination: { total_records: 0 },
    });
  });

  test("narrows by sync, status, kind and time", async () => {
    const [first, second, third] = runs;
    expect(await idsOf(`sync_id=${syncs[0]}`)).toEqual([second, first]);
    expect(await idsOf(`sync_id=${syncs[0]}&order=asc`)).toEqual([first, second]);
    expect(await idsOf("status=failed")).toEqual([third]);
    expect(await idsOf("status=completed")).toEqual([second, first]);
    expect(await idsOf("status=skipped")).toEqual([]);
    expect(await idsOf("run_kind=dry")).toEqual([dryRun]);
    expect(await idsOf("run_kind=all")).toEqual([dryRun, third, second, first]);
    const { created_at: at } = (await scene.api.get(`/sync_runs/${second}`)).body.data;
    expect(await idsOf(`since=${at}`)).toEqual([third, second]);
    expect(await idsOf(`until=${at}`)).toEqual([first]);
    expect((await stranger.get(`/sync_runs?sync_id=${syncs[0]}`)).body.data).toEqual([]);
  });

  test("pages by number and by cursor, and each run comes once", async () => {
    const all = [dryRun, ...runs.toReversed()];
    expect(await walked("/sync_runs?run_kind=all", "id")).toEqual([all, all]);
    expect(await walked("/sync_runs?run_kind=all&order=asc", "id")).toEqual([
      all.toReversed(),
      all.toReversed(),
    ]);
  });

  test("calls a run that waits for its turn working", async () => {
    const gate = Promise.withResolvers<void>();
    releaseRuns = gate.resolve;
    scene.receiver.behave(async () => {
      await gate.promise;
      return {};
    });
    const id = await scene.make({ label: "Queued", overlap_policy: "queue_one" });
    const held: number[] = [];
    for (let n = 0; n < 2; n += 1)
      held.push((await scene.api.post(`/syncs/${id}/trigger`)).body.data.sync_run_id);
    expect(await idsOf(`status=working&sync_id=${id}`)).toEqual([...new Set(held)].toReversed());
    releaseRuns();
    scene.receiver.behave({});
    for (const runId of new Set(held)) await endOf(scene.api, runId);
    expect(await idsOf(`status=working&sync_id=${id}`)).toEqual([]);
  });

  test.each([
    ["status=canceled", "status"],
    ["sync_id=x", "sync_id"],
    ["since=yesterday", "since"],
    ["until=2026-02-03", "until"],
    ["cursor=x", "cursor"],
  ])("refuses %s with the name of the field", async (query, field) => {
    const { status, body } = await scene.api.get(`/sync_runs?${query}`);
    expect([status, body.errors[0].field]).toEqual([400, field]);
  });
});

describe("GET /sync_runs/{id}/events", () => {
  const COMPLETED = ["triggered", "started", "checked", "snapshotted", "planned", "loaded", "completed"];

  test("tells what happened as the log has it, oldest first", async () => {
    const [run = 0] = runs;
    const { body } = await scene.api.get(`/sync_runs/${run}/events`);
    const { log } = scene.egret.services;
    const [syncId = 0] = syncs;
    const history = await log.load({
      kind: "run",
      workspaceId: scene.api.workspaceId,
      syncId,
      runId: run,
    });
    expect(body.data).toEqual(history.map(({ event }) => event));
    const types = [...COMPLETED, "success"].map((word) => `sync.${word}`);
    expect(body.data.map(({ type }: Listed) => type)).toEqual(types);
    expect(body.data.map(({ version }: Listed) => version)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(body.pagination).toMatchObject({ total_records: 8, per_page: 25, next_cursor: null });
  });

  test("tells how one failed, and of a dry run, and turns the order when asked", async () => {
    expect((await typesOf(`/sync_runs/${runs[2]}/events`)).slice(-2)).toEqual([
      "sync.completed",
      "sync.failed",
    ]);
    const told = ["trial.requested", "trial.started", "trial.completed"];
    expect(await typesOf(`/sync_runs/${dryRun}/events`)).toEqual(told);
    expect(await typesOf(`/sync_runs/${dryRun}/events?order=desc`)).toEqual(told.toReversed());
  });

  test("pages by number and by cursor, in both orders", async () => {
    const versions = [1, 2, 3, 4, 5, 6, 7, 8];
    expect(await walked(`/sync_runs/${runs[0]}/events`, "version")).toEqual([versions, versions]);
    const turned = versions.toReversed();
    expect(await walked(`/sync_runs/${runs[0]}/events?order=desc`, "version")).toEqual([turned, turned]);
    expect(await listed(`/sync_runs/${runs[0]}/events?page=9`)).toEqual([]);
  });

  test("can be read from the moment the trigger was answered", async () => {
    const { body } = await scene.api.post(`/syncs/${syncs[0]}/trigger`);
    const runId: number = body.data.sync_run_id;
    expect((await typesOf(`/sync_runs/${runId}/events`))[0]).toBe("sync.triggered");
    await endOf(scene.api, runId);
  });

  test.each(["events", "deliveries"])("knows no %s of another workspace's run, or of none", async (what) => {
    for (const answer of [
      await stranger.get(`/sync_runs/${runs[0]}/${what}`),
      await scene.api.get(`/sync_runs/999999/${what}`),
      await scene.api.get(`/sync_runs/x/${what}`),
    ])
      expect(answer).toMatchObject({ status: 404, body: { status: 404, message: "Not found" } });
  });
});

describe("GET /sync_runs/{id}/deliveries", () => {
  const targetsOf = async (query = "") =>
    (await scene.api.get(`/sync_runs/${runs[0]}/deliveries${query}`)).body.data.map(
      ({ destination_id, event }: { destination_id: number | null; event: string | null }) =>
        event ?? destination_id,
    );

  test("lists batches and lifecycle events alike, of that run alone", async () => {
    await expect.poll(() => targetsOf("?order=asc&state=delivered"), { timeout: 30_000 }).toHaveLength(2);
    expect(await targetsOf("?order=asc")).toEqual([scene.ids.ops, "sync.completed"]);
    expect(await targetsOf()).toEqual(["sync.completed", scene.ids.ops]);
    expect(await targetsOf("?event=sync.completed")).toEqual(["sync.completed"]);
    expect(await targetsOf("?state=dead")).toEqual([]);
  });
});
