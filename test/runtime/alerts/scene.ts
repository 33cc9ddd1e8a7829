/** Alerts under test: a log and a database of their own, a clock that stands, runs, and what was appended about alerts. */
import { afterAll } from "vitest";
import { readAlertConfigurations, reconcileAlerts } from "../../../src/configuration/alertConfigurations.ts";
import type { AnyEvent, StoredEvent } from "../../../src/domain/event.ts";
import type { EventLog } from "../../../src/log/eventLog.ts";
import { openDatabase } from "../../../src/projections/database.ts";
import { handleAlertCause } from "../../../src/runtime/alerts/alertWorker.ts";
import type { WorkResult } from "../../../src/runtime/workQueue.ts";
import { RunInTest, type RunPlan } from "../../support/alertRuns.ts";
import { createTestClock } from "../../support/clock.ts";
import { testLog } from "../../support/log.ts";
import { testDatabase } from "../../support/namespace.ts";

export const HOUR_MS = 3_600_000;
export const WORKSPACE = 12;

/** Opens the scene; it closes after the file's last test. */
export async function alertScene() {
  const { connection, log } = await testLog();
  const { url } = await testDatabase({ migrated: true });
  const database = openDatabase(url);
  afterAll(() => database.close());
  const { db } = database;
  const clock = createTestClock();
  let lastSync = 100;
  let lastRun = 7000;

  /** What a process of its own does with an event. */
  const handle = (
    event: AnyEvent,
    parts: { log?: EventLog; longestWaitMs?: number } = {},
  ): Promise<WorkResult> =>
    handleAlertCause(
      { connection, db, log, publicUrl: () => "https://egret.example", now: clock.now, ...parts },
      event,
    );

  /** Makes these the alerts of a sync, as an apply does; left out, those that every sync has. */
  const configure = async (syncId: number, alerts?: readonly object[], sinceMs = clock.now() - HOUR_MS) => {
    await db.transaction().execute((trx) => reconcileAlerts(trx, { workspaceId: WORKSPACE, syncId, alerts }));
    await db
      .updateTable("egret.alert_configurations")
      .set({ created_at: new Date(sinceMs) })
      .where("sync_id", "=", syncId)
      .execute();
    return readAlertConfigurations(db, syncId);
  };

  /** The events of a sync's alerts, in the order in which they were appended. */
  const alertEvents = async (syncId: number): Promise<AnyEvent[]> => {
    const ids = await db
      .selectFrom("egret.alert_configurations")
      .select("id")
      .where("sync_id", "=", syncId)
      .execute();
    const histories = await Promise.all(
      ids.map(({ id }) => log.load({ kind: "alert", workspaceId: WORKSPACE, syncId, alertId: id })),
    );
    return histories
      .flat()
      .sort((a: StoredEvent, b: StoredEvent) => a.sequence - b.sequence)
      .map(({ event }) => event);
  };

  /** The same, as `raised 1 by 7001: Sync Failed`; episodes and runs are numbered from 1 within the sync. */
  const alertStory = async (syncId: number, firstRun: number): Promise<string[]> => {
    const episodes: number[] = [];
    return (await alertEvents(syncId)).map((event) => {
      if (event.type !== "alert.raised" && event.type !== "alert.resolved") return event.type;
      const { alert_instance_id: id, sync_run_id, message } = event.data;
      if (!episodes.includes(id)) episodes.push(id);
      const run = sync_run_id === null ? "nobody" : `run ${sync_run_id - firstRun + 1}`;
      const word = event.type === "alert.raised" ? "raised" : "resolved";
      return `${word} ${episodes.indexOf(id) + 1} by ${run}: ${message ?? "-"}`;
    });
  };

  const newRun = (plan: Omit<RunPlan, "runId">) =>
    new RunInTest(log, { ...plan, runId: ++lastRun }, clock.now);

  /** A whole run, `tookMs` from its start to its end, with everything handled as it comes, `times` times. */
  const play = async (
    plan: Omit<RunPlan, "runId">,
    { tookMs = 1_000, times = 1 }: { tookMs?: number; times?: number } = {},
  ): Promise<{ runId: number; events: AnyEvent[] }> => {
    const run = newRun(plan);
    const events: AnyEvent[] = [];
    for (const type of run.types) {
      if (type === "sync.completed") await clock.advance(tookMs);
      const event = await run.append(type);
      events.push(event);
      for (let time = 0; time < times; time++) await handle(event);
    }
    return { runId: run.aggregate.runId, events };
  };

  return {
    connection,
    log,
    db,
    pool: database.pool,
    clock,
    handle,
    configure,
    alertEvents,
    alertStory,
    newRun,
    play,
    newSync: () => ++lastSync,
  };
}
