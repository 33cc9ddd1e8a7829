import { pino } from "pino";
import { describe, expect, onTestFinished, test } from "vitest";
import { deleteAlerts } from "../../../src/configuration/alertConfigurations.ts";
import { Unavailable } from "../../../src/domain/errors.ts";
import type { AnyEvent } from "../../../src/domain/event.ts";
import type { EventLog } from "../../../src/log/eventLog.ts";
import { CONSUMERS } from "../../../src/log/topology.ts";
import { startAlertWorker } from "../../../src/runtime/alerts/alertWorker.ts";
import { alertScene } from "./scene.ts";

const scene = await alertScene();
const { log, db, pool, clock, handle, configure, alertEvents, alertStory, newRun, newSync, play } = scene;

const failure = { type: "FailureAlertConfiguration", send_for: "every_time" };
const records = {
  type: "InvalidRecordPercentAlertConfiguration",
  send_for: "every_time",
  options: { threshold: 0 },
};
const started = { type: "StatusAlertConfiguration", options: { status_name: "started" } };
const completed = { type: "StatusAlertConfiguration", options: { status_name: "completed" } };

/** A process that dies at its n-th append: before it, or after it and before anybody hears of it. */
function dyingLog(at: number, when: "before" | "after"): EventLog {
  let appends = 0;
  const append: EventLog["append"] = async (...args) => {
    appends += 1;
    if (appends === at && when === "before") throw new Unavailable("killed");
    const stored = await log.append(...args);
    if (appends === at) throw new Unavailable("killed");
    return stored;
  };
  return { append, last: (each) => log.last(each), load: (each) => log.load(each) } as EventLog;
}

const configEvent = (syncId: number, change: "updated" | "deleted") =>
  ({
    type: `config.${change}`,
    data: { workspace_id: 12, kind: "sync", object_id: syncId },
  }) as AnyEvent;

describe("an evaluator that dies", () => {
  const points = [1, 2, 3, 4].flatMap((at) => (["before", "after"] as const).map((when) => ({ at, when })));
  const runs = [
    { outcome: "failed" as const },
    { counters: { records_failed: 4 } },
    { outcome: "failed" as const },
    {},
  ];
  const STORY = [
    "raised 1 by run 1: Sync Started",
    "raised 2 by run 1: Sync Failed",
    "raised 3 by run 2: Sync Started",
    "resolved 2 by run 2: Sync Recovered",
    "raised 4 by run 2: Records Failed",
    "raised 5 by run 2: Sync Completed",
    "raised 6 by run 3: Sync Started",
    "raised 7 by run 3: Sync Failed",
    "raised 8 by run 4: Sync Started",
    "resolved 7 by run 4: Sync Recovered",
    "resolved 4 by run 4: Records Recovered",
    "raised 9 by run 4: Sync Completed",
  ];

  test.each(points)(
    "$when append $at of each run: nothing is lost and nothing twice",
    async ({ at, when }) => {
      const syncId = newSync();
      await configure(syncId, [failure, records, started, completed]);
      let firstRun = 0;
      let deaths = 0;
      for (const plan of runs) {
        const run = newRun({ ...plan, syncId });
        firstRun ||= run.aggregate.runId;
        const dying = dyingLog(at, when);
        for (const type of run.types) {
          const event = await run.append(type);
          await handle(event, { log: dying }).catch(async (error: Error) => {
            expect(error.message).toBe("killed");
            deaths += 1;
            await handle(event);
          });
        }
      }
      expect(deaths).toBeGreaterThan(0);
      expect(await alertStory(syncId, firstRun)).toEqual(STORY);
      const versions = Map.groupBy(await alertEvents(syncId), ({ subject }) => subject);
      for (const events of versions.values()) {
        expect(events.map(({ version }) => version)).toEqual(events.map((_, index) => index + 1));
      }
    },
  );

  test("several that read the same event at once append it once", async () => {
    const syncId = newSync();
    await configure(syncId, [failure, records]);
    const run = newRun({ syncId, outcome: "failed" });
    for (const type of run.types) {
      const event = await run.append(type);
      await Promise.all([handle(event), handle(event), handle(event)]);
    }
    expect(await alertStory(syncId, run.aggregate.runId)).toEqual(["raised 1 by run 1: Sync Failed"]);
  });
});

describe("the order of runs", () => {
  test("a run whose end is still being written is looked at before the next one", async () => {
    const syncId = newSync();
    await configure(syncId, [failure]);
    const [first, second] = [newRun({ syncId, outcome: "failed" }), newRun({ syncId })];
    // Its worker frees the sync and dies before it writes the last event.
    for (const type of first.types.slice(0, -1)) await handle(await first.append(type));
    const events: AnyEvent[] = [];
    for (const type of second.types) events.push(await second.append(type));
    for (const event of events.slice(0, -1)) await handle(event);
    expect(await handle(events.at(-1)!)).toMatchObject({ kind: "again" });
    expect(await alertEvents(syncId)).toEqual([]);

    // The end stands in the log; the evaluator has not come to it.
    const end = await first.append("sync.failed");
    expect(await handle(events.at(-1)!)).toMatchObject({ kind: "again" });
    expect(await handle(end)).toEqual({ kind: "done" });
    expect(await handle(events.at(-1)!)).toEqual({ kind: "done" });
    expect(await alertStory(syncId, first.aggregate.runId)).toEqual([
      "raised 1 by run 1: Sync Failed",
      "resolved 1 by run 2: Sync Recovered",
    ]);
  });

  test("a run that was looked at is not looked at again, not even by another rule", async () => {
    const syncId = newSync();
    const once = { ...failure, send_for: "first_time" };
    await configure(syncId, [once]);
    const { runId } = await play({ syncId, outcome: "failed" });
    const { events } = await play({ syncId, outcome: "failed" });
    // From now on each failure counts; the last one was looked at when only the first did.
    await configure(syncId, [failure]);
    for (const event of events) expect(await handle(event)).toEqual({ kind: "done" });
    expect(await alertStory(syncId, runId)).toEqual(["raised 1 by run 1: Sync Failed"]);
    await play({ syncId, outcome: "failed" });
    expect(await alertStory(syncId, runId)).toHaveLength(2);
  });

  test("a run of which no event was looked at yet is looked at before the next one", async () => {
    const syncId = newSync();
    await configure(syncId, [failure]);
    const runs = [
      newRun({ syncId, outcome: "failed" }),
      newRun({ syncId }),
      newRun({ syncId, outcome: "failed" }),
    ];
    const ends: AnyEvent[] = [];
    for (const [index, run] of runs.entries()) {
      for (const type of run.types) ends[index] = await run.append(type);
    }
    // As when one process has all messages of a run in hand, and another those of the next.
    expect(await handle(ends[2]!)).toMatchObject({ kind: "again" });
    expect(await handle(ends[1]!)).toMatchObject({ kind: "again" });
    for (const end of ends) expect(await handle(end)).toEqual({ kind: "done" });
    expect(await alertStory(syncId, runs[0]!.aggregate.runId)).toEqual([
      "raised 1 by run 1: Sync Failed",
      "resolved 1 by run 2: Sync Recovered",
      "raised 2 by run 3: Sync Failed",
    ]);
  });

  test("a run that is cancelled in the queue waits for none, and the one before it is not passed over", async () => {
    const syncId = newSync();
    await configure(syncId, [failure]);
    const first = newRun({ syncId, outcome: "failed" });
    const queued = newRun({ syncId, outcome: "canceled", starts: false });
    const third = newRun({ syncId });
    for (const type of first.types.slice(0, 3)) await first.append(type);
    for (const type of queued.types.slice(0, -1)) await queued.append(type);
    expect(await handle(await queued.append("sync.failed"))).toEqual({ kind: "done" });
    await first.append("sync.completed");
    const firstEnd = await first.append("sync.failed");
    for (const type of third.types.slice(0, -1)) await third.append(type);
    const thirdEnd = await third.append("sync.success");
    expect(await handle(thirdEnd)).toMatchObject({ kind: "again" });
    for (const end of [firstEnd, thirdEnd]) expect(await handle(end)).toEqual({ kind: "done" });
    expect(await alertStory(syncId, first.aggregate.runId)).toEqual([
      "raised 1 by run 1: Sync Failed",
      "resolved 1 by run 3: Sync Recovered",
    ]);
  });

  test("a start that is looked at after the end adds nothing", async () => {
    const syncId = newSync();
    await configure(syncId, [started]);
    const run = newRun({ syncId });
    const events: AnyEvent[] = [];
    for (const type of run.types) events.push(await run.append(type));
    for (const event of events.toReversed()) expect(await handle(event)).toEqual({ kind: "done" });
    expect(await alertStory(syncId, run.aggregate.runId)).toEqual(["raised 1 by run 1: Sync Started"]);
  });

  test("I8: what the end of a run raises stands in the log after the run's last event", async () => {
    const syncId = newSync();
    await configure(syncId, [failure, completed]);
    const { runId } = await play({ syncId, outcome: "failed" });
    const [alert] = await alertEvents(syncId);
    const aggregate = {
      kind: "alert",
      workspaceId: 12,
      syncId,
      alertId: Number(alert?.subject.slice(6)),
    } as const;
    const run = await log.load({ kind: "run", workspaceId: 12, syncId, runId });
    expect((await log.last(aggregate))!.sequence).toBeGreaterThan(run.at(-1)!.sequence);
  });
});

describe("what is deleted", () => {
  const reasonOf = async (syncId: number) => (await alertEvents(syncId)).at(-1)?.data;

  test("a configuration that goes away closes its alert without a word, and no run moves it again", async () => {
    const syncId = newSync();
    await configure(syncId, [failure, records]);
    const { runId } = await play({ syncId, outcome: "failed" });
    await configure(syncId, [records]);
    for (let time = 0; time < 2; time++) await handle(configEvent(syncId, "updated"));
    await play({ syncId, outcome: "failed" });
    await play({ syncId });
    expect(await alertStory(syncId, runId)).toEqual([
      "raised 1 by run 1: Sync Failed",
      "resolved 1 by nobody: -",
    ]);
    expect(await reasonOf(syncId)).toMatchObject({
      fact: "watch.ended",
      reason: "configuration_deleted",
      last_raised_run_id: runId,
      sync_run_id: null,
    });
  });

  test("a sync that goes away closes its alerts, and its runs are forgotten", async () => {
    const syncId = newSync();
    await configure(syncId, [failure]);
    const { runId } = await play({ syncId, outcome: "failed" });
    await deleteAlerts(db, syncId);
    await handle(configEvent(syncId, "deleted"));
    expect(await alertStory(syncId, runId)).toEqual([
      "raised 1 by run 1: Sync Failed",
      "resolved 1 by nobody: -",
    ]);
    expect(await reasonOf(syncId)).toMatchObject({ reason: "sync_deleted" });
    const { rows } = await pool.query("select from egret.alert_runs where sync_id = $1", [syncId]);
    expect(rows).toEqual([]);
  });

  test("nothing is written about one that is not raised, and it is not looked at again", async () => {
    const syncId = newSync();
    await configure(syncId, [failure]);
    await configure(syncId, []);
    await handle(configEvent(syncId, "updated"));
    expect(await alertEvents(syncId)).toEqual([]);
    const { rows } = await pool.query<{ closed: boolean }>(
      "select closed_at is not null as closed from egret.alert_configurations where sync_id = $1",
      [syncId],
    );
    expect(rows).toEqual([{ closed: true }]);
  });

  test("a death between closing and noting it closes nothing twice", async () => {
    const syncId = newSync();
    await configure(syncId, [failure]);
    await play({ syncId, outcome: "failed" });
    await configure(syncId, []);
    await expect(handle(configEvent(syncId, "updated"), { log: dyingLog(1, "after") })).rejects.toThrow(
      "killed",
    );
    await handle(configEvent(syncId, "updated"));
    expect((await alertEvents(syncId)).map(({ type }) => type)).toEqual(["alert.raised", "alert.resolved"]);
  });
});

describe("evaluators at work", () => {
  test("two share the events of many runs; each is told once, in order", async () => {
    const { connection } = scene;
    const workers = [1, 2].map(() =>
      startAlertWorker({
        connection,
        db,
        log,
        logger: pino({ level: "silent" }),
        publicUrl: () => "https://egret.example",
        now: clock.now,
      }),
    );
    onTestFinished(async () => void (await Promise.all(workers.map((worker) => worker.close()))));
    const syncs = [newSync(), newSync(), newSync()];
    for (const syncId of syncs) await configure(syncId, [failure, completed]);
    const firstRuns = new Map<number, number>();
    for (let round = 1; round <= 6; round++) {
      await Promise.all(
        syncs.map(async (syncId) => {
          const run = newRun({ syncId, outcome: round % 3 === 0 ? "ok" : "failed" });
          if (round === 1) firstRuns.set(syncId, run.aggregate.runId);
          for (const type of run.types) await run.append(type);
        }),
      );
    }
    const stream = connection.topology.eventStreams.runs;
    const left = async () => {
      const { num_pending, num_ack_pending } = await connection.jsm.consumers.info(stream, CONSUMERS.alerts);
      return num_pending + num_ack_pending;
    };
    await expect.poll(left, { timeout: 30_000 }).toBe(0);
    for (const syncId of syncs) {
      const runsOf = (await alertEvents(syncId)).map(
        ({ type, data }) => `${type} ${(data as { alert_type: string }).alert_type.slice(0, 7)}`,
      );
      const once = [
        "alert.raised Failure",
        "alert.raised Failure",
        "alert.resolved Failure",
        "alert.raised StatusA",
      ];
      expect(runsOf).toEqual([...once, ...once]);
    }
  });
});
