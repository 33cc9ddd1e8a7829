import { pino } from "pino";
import { describe, expect, onTestFinished, test } from "vitest";
import { startAlertWorker } from "../../../src/runtime/alerts/alertWorker.ts";
import { alertScene, HOUR_MS } from "./scene.ts";

const scene = await alertScene();
const { clock, handle, configure, alertEvents, alertStory, newRun, newSync, play } = scene;

const MINUTE_MS = 60_000;
const DONE = { kind: "done" };
const again = (delayMs: number) => ({ kind: "again", delayMs });
const within = (minutes: number, more: object = {}, sendFor = "first_time") => ({
  type: "RuntimeAlertConfiguration",
  send_for: sendFor,
  options: { threshold: minutes, ...more },
});
const RAISED = "raised 1 by run 1: Sync Running Long";

/** A run that was triggered, and started `queuedMs` later; its events so far. */
async function going(
  syncId: number,
  { queuedMs = 0, scheduledMs }: { queuedMs?: number; scheduledMs?: number } = {},
) {
  const run = newRun({ syncId, ...(scheduledMs === undefined ? {} : { scheduledMs }) });
  const triggered = await run.append("sync.triggered");
  await clock.advance(queuedMs);
  const started = await run.append("sync.started");
  const finish = async () => {
    for (const type of ["sync.checked", "sync.completed"] as const) await handle(await run.append(type));
    return run.append("sync.success");
  };
  return { run, triggered, started, finish, runId: run.aggregate.runId };
}

describe("the runtime alert", () => {
  test("waits until the run is late, however early it is woken, and is raised while the run goes on", async () => {
    const syncId = newSync();
    await configure(syncId, [within(5)]);
    const { triggered, started, finish, runId } = await going(syncId);
    expect(await handle(triggered)).toEqual(DONE);
    expect(await handle(started)).toEqual(again(5 * MINUTE_MS));
    await clock.advance(5 * MINUTE_MS - 1);
    expect(await handle(started)).toEqual(again(1));
    expect(await alertEvents(syncId)).toEqual([]);
    await clock.advance(1);
    expect(await handle(started)).toEqual(DONE);
    expect(await alertStory(syncId, runId)).toEqual([RAISED]);
    const [alert] = await alertEvents(syncId);
    expect(alert?.data).toMatchObject({
      sync_run_id: runId,
      details: "Run exceeded 5 minutes since actual start",
    });

    // Once for this run, also when it ends, and whoever looks again.
    await clock.advance(MINUTE_MS);
    const end = await finish();
    for (const event of [started, end, started, triggered]) expect(await handle(event)).toEqual(DONE);
    expect(await alertStory(syncId, runId)).toEqual([RAISED]);
  });

  test("a run that ends in time raises nothing when its time comes", async () => {
    const syncId = newSync();
    await configure(syncId, [within(5)]);
    const { started, finish } = await going(syncId);
    await handle(started);
    await clock.advance(5 * MINUTE_MS);
    await handle(await finish());
    expect(await handle(started)).toEqual(DONE);
    await clock.advance(HOUR_MS);
    expect(await handle(started)).toEqual(DONE);
    expect(await alertEvents(syncId)).toEqual([]);
  });

  test("counts from the trigger, time in the queue included, when it goes by the scheduled start", async () => {
    const syncId = newSync();
    await configure(syncId, [within(1, { unit: "hours", start_type: "scheduled" })]);
    const run = newRun({ syncId });
    const triggered = await run.append("sync.triggered");
    expect(await handle(triggered, { longestWaitMs: 2 * HOUR_MS })).toEqual(again(HOUR_MS));
    await clock.advance(HOUR_MS);
    expect(await handle(triggered)).toEqual(DONE);
    // It has not even started.
    expect(await alertStory(syncId, run.aggregate.runId)).toEqual([RAISED]);
  });

  test("counts from the tick that the run was scheduled for", async () => {
    const syncId = newSync();
    await configure(syncId, [within(10, { start_type: "scheduled" })]);
    const { triggered, started, runId } = await going(syncId, {
      scheduledMs: clock.now() - 4 * MINUTE_MS,
      queuedMs: 0,
    });
    expect(await handle(triggered)).toEqual(again(6 * MINUTE_MS));
    expect(await handle(started)).toEqual(DONE);
    await clock.advance(6 * MINUTE_MS);
    await handle(triggered);
    expect(await alertStory(syncId, runId)).toEqual([RAISED]);
    expect((await alertEvents(syncId))[0]?.data).toMatchObject({
      details: "Run exceeded 10 minutes since scheduled start",
    });
  });

  test("several limits come one after the other", async () => {
    const syncId = newSync();
    await configure(syncId, [within(3), within(1), within(2, { start_type: "scheduled" })]);
    const { triggered, started, runId } = await going(syncId);
    expect(await handle(started)).toEqual(again(MINUTE_MS));
    expect(await handle(triggered)).toEqual(again(2 * MINUTE_MS));
    await clock.advance(MINUTE_MS);
    expect(await handle(started)).toEqual(again(2 * MINUTE_MS));
    await clock.advance(MINUTE_MS);
    expect(await handle(triggered)).toEqual(DONE);
    await clock.advance(MINUTE_MS);
    expect(await handle(started)).toEqual(DONE);
    expect(await alertStory(syncId, runId)).toEqual(
      [1, 2, 3].map((n) => `raised ${n} by run 1: Sync Running Long`),
    );
  });

  test("a long wait is cut into shorter ones, so that a run that ended does not hold its place", async () => {
    const syncId = newSync();
    await configure(syncId, [within(50, { unit: "hours" })]);
    const { started } = await going(syncId);
    expect(await handle(started)).toEqual(again(600_000));
  });

  test("a process that was down when the time came raises it when it is back", async () => {
    const syncId = newSync();
    await configure(syncId, [within(5)]);
    const { started, finish, runId } = await going(syncId);
    await clock.advance(HOUR_MS);
    expect(await handle(started)).toEqual(DONE);
    expect(await alertStory(syncId, runId)).toEqual([RAISED]);
    await handle(await finish());
    expect(await alertStory(syncId, runId)).toEqual([RAISED]);
  });

  test("several processes at once raise it once", async () => {
    const syncId = newSync();
    await configure(syncId, [within(5, {}, "every_time")]);
    const { started, finish, runId } = await going(syncId);
    await clock.advance(5 * MINUTE_MS + 1);
    const end = await finish();
    await Promise.all([handle(started), handle(end), handle(started), handle(end)]);
    expect(await alertStory(syncId, runId)).toEqual([RAISED]);
  });

  test("stays raised over cancelled runs, until a run ends within the limit", async () => {
    const syncId = newSync();
    await configure(syncId, [within(5)]);
    const { started, finish, runId } = await going(syncId);
    await clock.advance(5 * MINUTE_MS);
    await handle(started);
    await clock.advance(MINUTE_MS);
    await handle(await finish());
    await play({ syncId, outcome: "canceled" });
    expect(await alertStory(syncId, runId)).toEqual([RAISED]);
    await play({ syncId, outcome: "failed" }, { tookMs: 192_000 });
    expect(await alertStory(syncId, runId)).toEqual([RAISED, "resolved 1 by run 3: Sync Runtime Recovered"]);
    expect((await alertEvents(syncId)).at(-1)?.data).toMatchObject({ details: "Run finished in 3 min 12 s" });
  });

  test("a run that is cancelled after its alert was raised leaves it raised", async () => {
    const syncId = newSync();
    await configure(syncId, [within(5)]);
    const run = newRun({ syncId, outcome: "canceled" });
    await handle(await run.append("sync.triggered"));
    const started = await run.append("sync.started");
    await clock.advance(6 * MINUTE_MS);
    await handle(started);
    for (const type of ["sync.completed", "sync.failed"] as const) await handle(await run.append(type));
    expect(await alertStory(syncId, run.aggregate.runId)).toEqual([RAISED]);
  });

  test("an alert configured while a run goes on watches the next run", async () => {
    const syncId = newSync();
    const { started } = await going(syncId);
    await clock.advance(HOUR_MS);
    await configure(syncId, [within(5)], clock.now());
    expect(await handle(started)).toEqual(DONE);
    expect(await alertEvents(syncId)).toEqual([]);
  });

  test("a worker comes back to the run by itself", async () => {
    const syncId = newSync();
    await configure(syncId, [within(5)]);
    const { runId } = await going(syncId);
    let looks = 0;
    const seen = Promise.withResolvers<void>();
    const worker = startAlertWorker({
      ...scene,
      logger: pino({ level: "silent" }),
      publicUrl: () => "https://egret.example",
      longestWaitMs: 20,
      now: () => {
        looks += 1;
        if (looks > 3) seen.resolve();
        return clock.now();
      },
    });
    onTestFinished(() => worker.close());
    await seen.promise;
    expect(await alertEvents(syncId)).toEqual([]);
    await clock.advance(5 * MINUTE_MS);
    await expect.poll(() => alertStory(syncId, runId), { timeout: 20_000 }).toEqual([RAISED]);
  });
});
