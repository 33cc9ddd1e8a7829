import { describe, expect, test } from "vitest";
import type { RunPlan } from "../../support/alertRuns.ts";
import { alertScene } from "./scene.ts";

const scene = await alertScene();
const { clock, configure, alertEvents, alertStory, newSync, play } = scene;

type Run = Omit<RunPlan, "runId" | "syncId"> & { tookMs?: number };
const OK: Run = {};
const FAILED: Run = { outcome: "failed" };
const CANCELED: Run = { outcome: "canceled" };
const UNSTARTED: Run = { outcome: "failed", starts: false };
const rejecting = (rejected: number): Run => ({ counters: { records_failed: rejected } });
const rows = (count: number): Run => ({ counters: { source_record_count: count } });
const taking = (seconds: number, run: Run = OK): Run => ({ ...run, tookMs: seconds * 1_000 });
const full = (...fullSync: string[]): Run => ({ fullSync });

const failure = { type: "FailureAlertConfiguration" };
const records = { type: "InvalidRecordPercentAlertConfiguration", options: { threshold: 50 } };
const started = { type: "StatusAlertConfiguration", options: { status_name: "started" } };
const completed = { type: "StatusAlertConfiguration", options: { status_name: "completed" } };
const fullSync = { type: "FullSyncTriggerAlertConfiguration" };
const runtime = { type: "RuntimeAlertConfiguration", options: { threshold: 1 } };
const deviation = {
  type: "RecordCountDeviationAlertConfiguration",
  options: { threshold: 10, record_type: "source_record_count", lookback_runs: 2 },
};
const always = (alert: object) => ({ ...alert, send_for: "every_time" });

const STORIES: [name: string, alert: object, runs: Run[], story: string[]][] = [
  ["no failure, no word", failure, [OK, OK], []],
  [
    "a failure is told once, and its recovery once",
    failure,
    [OK, FAILED, FAILED, UNSTARTED, OK, OK],
    ["raised 1 by run 2: Sync Failed", "resolved 1 by run 5: Sync Recovered"],
  ],
  [
    "every failure is told, in one episode",
    always(failure),
    [FAILED, FAILED, OK, FAILED],
    [
      "raised 1 by run 1: Sync Failed",
      "raised 1 by run 2: Sync Failed",
      "resolved 1 by run 3: Sync Recovered",
      "raised 2 by run 4: Sync Failed",
    ],
  ],
  [
    "the next failure after a recovery is another episode",
    failure,
    [FAILED, OK, FAILED, OK],
    [
      "raised 1 by run 1: Sync Failed",
      "resolved 1 by run 2: Sync Recovered",
      "raised 2 by run 3: Sync Failed",
      "resolved 2 by run 4: Sync Recovered",
    ],
  ],
  ["a cancelled run says nothing", failure, [CANCELED, CANCELED], []],
  ["a cancelled run resolves nothing", failure, [FAILED, CANCELED], ["raised 1 by run 1: Sync Failed"]],
  [
    "failed records: a failed run changes nothing",
    records,
    [rejecting(5), rejecting(6), FAILED, CANCELED, rejecting(7), rejecting(5), rejecting(6)],
    [
      "raised 1 by run 2: Records Failed",
      "resolved 1 by run 6: Records Recovered",
      "raised 2 by run 7: Records Failed",
    ],
  ],
  [
    "failed records, every time",
    always(records),
    [rejecting(6), FAILED, rejecting(7), OK],
    [
      "raised 1 by run 1: Records Failed",
      "raised 1 by run 3: Records Failed",
      "resolved 1 by run 4: Records Recovered",
    ],
  ],
  [
    "each start is an episode that is over at once",
    started,
    [OK, FAILED, UNSTARTED, CANCELED],
    ["raised 1 by run 1: Sync Started", "raised 2 by run 2: Sync Started", "raised 3 by run 4: Sync Started"],
  ],
  [
    "each success is an episode that is over at once",
    completed,
    [OK, FAILED, CANCELED, OK],
    ["raised 1 by run 1: Sync Completed", "raised 2 by run 4: Sync Completed"],
  ],
  [
    "full syncs but the first run",
    fullSync,
    [full("first_run"), OK, full("user_requested"), { ...full("mapping_changed"), outcome: "failed" }],
    ["raised 1 by run 3: Full Sync Triggered", "raised 2 by run 4: Full Sync Triggered"],
  ],
  [
    "a run that took too long, though nobody looked while it went on",
    runtime,
    [taking(60), taking(61), taking(62), taking(1, CANCELED), taking(5, FAILED), taking(1)],
    ["raised 1 by run 2: Sync Running Long", "resolved 1 by run 5: Sync Runtime Recovered"],
  ],
  [
    "each run that took too long",
    always(runtime),
    [taking(61), taking(61, FAILED), taking(2)],
    [
      "raised 1 by run 1: Sync Running Long",
      "raised 1 by run 2: Sync Running Long",
      "resolved 1 by run 3: Sync Runtime Recovered",
    ],
  ],
  [
    "a deviation from the last two completed runs, others left out",
    deviation,
    [rows(100), FAILED, rows(120), CANCELED, rows(90), rows(100), rows(99)],
    [
      // 100 and 120 make 110: 90 is out; then 105: 100 is in; then 95.
      "raised 1 by run 5: Record Count Deviation",
      "resolved 1 by run 6: Record Count Recovered",
    ],
  ],
  [
    "each deviation",
    always(deviation),
    [rows(0), rows(0), rows(0), rows(1), rows(2), rows(1)],
    [
      "raised 1 by run 4: Record Count Deviation",
      "raised 1 by run 5: Record Count Deviation",
      "raised 1 by run 6: Record Count Deviation",
    ],
  ],
];

describe("alerts over the runs of a sync", () => {
  test.each(STORIES)("%s", async (_name, alert, runs, story) => {
    const syncId = newSync();
    await configure(syncId, [alert]);
    const played: number[] = [];
    for (const { tookMs, ...run } of runs) {
      played.push((await play({ ...run, syncId }, tookMs === undefined ? {} : { tookMs })).runId);
    }
    expect(await alertStory(syncId, played[0]!)).toEqual(story);
  });

  test.each(STORIES)("%s: the same when each event comes three times", async (_name, alert, runs, story) => {
    const syncId = newSync();
    await configure(syncId, [alert]);
    const played: Awaited<ReturnType<typeof play>>[] = [];
    for (const { tookMs = 1_000, ...run } of runs) {
      played.push(await play({ ...run, syncId }, { tookMs, times: 2 }));
    }
    for (const { events } of played) for (const event of events) await scene.handle(event);
    expect(await alertStory(syncId, played[0]!.runId)).toEqual(story);
  });

  test("several of one type each have their own episodes; a sync without any has none", async () => {
    const [one, none] = [newSync(), newSync()];
    const strict = { ...records, options: { threshold: 0 } };
    await configure(one, [records, strict, failure]);
    await configure(none, []);
    const { runId } = await play({ syncId: one, ...rejecting(6) });
    await play({ syncId: one, ...rejecting(1) });
    await play({ syncId: none, ...FAILED });
    expect(await alertStory(one, runId)).toEqual([
      "raised 1 by run 1: Records Failed",
      "raised 2 by run 1: Records Failed",
      "resolved 1 by run 2: Records Recovered",
    ]);
    expect(await alertEvents(none)).toEqual([]);
  });

  test("every event has its place, its state, and all that a subscriber reads", async () => {
    const syncId = newSync();
    const [configuration] = await configure(syncId, [always(failure)]);
    const { runId } = await play({ syncId, ...FAILED });
    await play({ syncId, ...FAILED });
    await play({ syncId });
    const events = await alertEvents(syncId);
    const [first] = events;
    const ids = {
      workspace_id: 12,
      sync_id: syncId,
      alert_id: configuration!.id,
      alert_instance_id: expect.any(Number) as number,
      alert_type: "FailureAlertConfiguration",
    };
    expect(events).toMatchObject([
      {
        type: "alert.raised",
        subject: `alert/${configuration!.id}`,
        machine: "alert@1",
        state: "raised",
        version: 1,
        data: {
          ...ids,
          sync_run_id: runId,
          fact: "limit.violated",
          times: 1,
          message: "Sync Failed",
          details: "Sync has failed with error: it took too long",
          followup_url: `https://egret.example/syncs/${syncId}/runs/${runId}`,
        },
      },
      { type: "alert.raised", state: "raised", version: 2, data: { ...ids, times: 2 } },
      {
        type: "alert.resolved",
        state: "resolved",
        version: 3,
        data: {
          ...ids,
          sync_run_id: runId + 2,
          last_raised_run_id: runId + 1,
          times: 2,
          reason: "recovered",
          message: "Sync Recovered",
          followup_url: `https://egret.example/syncs/${syncId}/runs/${runId + 2}`,
        },
      },
    ]);
    const data = first?.data as { alert_instance_id: number };
    expect(events.map((event) => (event.data as typeof data).alert_instance_id)).toEqual([
      data.alert_instance_id,
      data.alert_instance_id,
      data.alert_instance_id,
    ]);
    expect(Number.isSafeInteger(data.alert_instance_id)).toBe(true);
  });

  test("what happened before an alert was configured raises nothing, but counts for later deviations", async () => {
    const syncId = newSync();
    await configure(syncId, []);
    const past = [await play({ syncId, ...rows(100) }), await play({ syncId, ...rows(100) })];
    const before = await play({ syncId, ...FAILED });
    await configure(syncId, [failure, started, deviation], clock.now() + 3_600_000);
    // Everything comes again, as to a process that begins at the first event of the log.
    await scene.pool.query("delete from egret.alert_runs where sync_id = $1", [syncId]);
    for (const { events } of [...past, before]) for (const event of events) await scene.handle(event);
    expect(await alertEvents(syncId)).toEqual([]);
    await clock.advance(3_600_000);
    const { runId } = await play({ syncId, ...rows(200) });
    expect(await alertStory(syncId, runId)).toEqual([
      "raised 1 by run 1: Sync Started",
      "raised 2 by run 1: Record Count Deviation",
    ]);
  });

  test("a deviation looks back on a hundred runs, and no more are kept than that takes", async () => {
    const syncId = newSync();
    const options = { ...deviation.options, lookback_runs: 100 };
    await configure(syncId, [{ ...deviation, options }]);
    const runs = Array.from({ length: 260 }, (_, index) => [index + 1, index % 2 === 0]);
    const counters = { source_record_count: 100, source_record_updates: null };
    await scene.pool.query(
      `insert into egret.alert_runs (sync_id, run_id, counters)
       select $1, (run->>0)::bigint, case when (run->>1)::boolean then $2::jsonb end
       from jsonb_array_elements($3::jsonb) run`,
      [syncId, JSON.stringify(counters), JSON.stringify(runs)],
    );
    const { runId } = await play({ syncId, ...rows(200) });
    expect(await alertStory(syncId, runId)).toEqual(["raised 1 by run 1: Record Count Deviation"]);
    const kept =
      "select count(*)::integer as count from egret.alert_runs where sync_id = $1 and counters is ";
    const of = async (what: string) =>
      (await scene.pool.query<{ count: number }>(kept + what, [syncId])).rows;
    expect(await of("not null")).toEqual([{ count: 121 }]);
    expect(await of("null")).toEqual([{ count: 130 }]);
  });
});
