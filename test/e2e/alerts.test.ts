import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { follow } from "../../src/log/follow.ts";
import { getAlert, listAlerts } from "../../src/projections/alerts.ts";
import { rebuildReadModels } from "../../src/projections/rebuild.ts";
import { signBody } from "../../src/security/signature.ts";
import { testSettings, triggerAndWait } from "../support/egret.ts";
import { type EgretProcess, startEgretProcess } from "../support/egretProcess.ts";
import { testDatabase } from "../support/namespace.ts";
import { openScenario, type Scenario } from "../support/scenario.ts";

const warehouse = await testDatabase();
const settings = await testSettings();
let scenario: Scenario;
let egret: EgretProcess;
let syncId: number;

beforeAll(async () => {
  scenario = await openScenario({ settings, warehouseUrl: warehouse.url, rows: 5, batchSize: 10 });
  syncId = await scenario.applied.id("sync", "people_to_ops");
  egret = await startEgretProcess(settings);
});
afterAll(() => scenario.close());

interface Body {
  event: string;
  sync_run_id: number;
  alert_instance_id?: number;
  followup_url?: string;
}
const bodies = () =>
  scenario.subscriber.requests.map((request) => JSON.parse(request.body.toString()) as Body);
const alerts = () => bodies().filter(({ event }) => event.startsWith("sync.alert."));
const run = () => triggerAndWait(scenario, { sync: "people_to_ops" });
const breakIt = () => scenario.warehouse("alter table people rename to gone");
const mendIt = () => scenario.warehouse("alter table gone rename to people");
const told = (count: number) => scenario.subscriber.waitFor(() => alerts().length >= count, 30_000);

/** The lifecycle events of a run in the order in which their deliveries came into being. */
async function emitted(runId: number, count: number): Promise<string[]> {
  const { connection } = scenario.services;
  const found: string[] = [];
  const signal = AbortSignal.timeout(30_000);
  const options = { fromSequence: 1, maxBatch: 100, signal, filters: ["*.delivery.webhook.*.*.pending"] };
  for await (const batch of follow(connection, "deliveries", options)) {
    for (const { event } of batch) {
      if (event.type !== "delivery.pending" || event.data.sync_run_id !== runId) continue;
      found.push(event.data.event ?? "");
    }
    if (found.length >= count) break;
  }
  return found;
}

describe("alerts of a sync", { concurrent: false }, () => {
  let failedRun: number;
  let episode: number;

  test("I8: a failing sync raises one alert, signed, after the events of its run", async () => {
    expect((await run()).events.at(-1)?.type).toBe("sync.success");
    await breakIt();
    const failed = await run();
    failedRun = failed.runId;
    expect(failed.events.at(-1)?.type).toBe("sync.failed");
    await told(1);
    const [raised] = alerts();
    episode = raised?.alert_instance_id ?? 0;
    const error = failed.events.find(({ type }) => type === "sync.completed")?.data as {
      error_message: string;
    };
    expect(raised).toEqual({
      workspace_id: 1,
      sync_id: syncId,
      sync_run_id: failedRun,
      alert_instance_id: expect.any(Number) as number,
      alert_type: "FailureAlertConfiguration",
      message: "Sync Failed",
      details: `Sync has failed with error: ${error.error_message}`,
      followup_url: expect.stringMatching(
        new RegExp(`^http://127\\.0\\.0\\.1:\\d+/syncs/${syncId}/runs/${failedRun}$`),
      ) as string,
      event: "sync.alert.raised",
    });
    const request = scenario.subscriber.requests.find(({ body }) => body.includes("sync.alert.raised"));
    const secret = scenario.applied.secrets.get("pager") ?? "";
    expect(request?.headers["x-signature"]).toBe(signBody(secret, request?.body ?? Buffer.alloc(0)));
    expect(request?.headers["x-delivery-attempt"]).toBe("1");
    expect(await emitted(failedRun, 5)).toEqual([
      "sync.triggered",
      "sync.started",
      "sync.completed",
      "sync.failed",
      "sync.alert.raised",
    ]);
  });

  test("fails again without another word, and says so once it has recovered", async () => {
    await run();
    await mendIt();
    const { runId } = await run();
    await told(2);
    await scenario.subscriber.waitFor(() =>
      bodies().some(({ event, sync_run_id }) => event === "sync.success" && sync_run_id === runId),
    );
    expect(alerts()).toHaveLength(2);
    expect(alerts()[1]).toMatchObject({
      event: "sync.alert.resolved",
      alert_instance_id: episode,
      sync_run_id: runId,
      message: "Sync Recovered",
      details: "Sync has recovered",
    });
  });

  test("the read model shows the episode, and the same after a rebuild (I1)", async () => {
    const { database, events: source } = scenario.services;
    const shown = () => getAlert(database.db, episode);
    await expect.poll(async () => (await shown())?.state, { timeout: 20_000 }).toBe("resolved");
    const before = await shown();
    expect(before).toMatchObject({
      sync_name: "people_to_ops",
      raised_run_id: failedRun,
      times_raised: 1,
      resolution: "recovered",
    });
    await rebuildReadModels({ source, database });
    expect(await shown()).toEqual(before);
  });

  test("killed with -9 between the end of a run and its alert: raised once, by the next process", async () => {
    await breakIt();
    // Whoever wants to look at the sync's runs waits for us.
    const holder = new Client({ connectionString: settings.databaseUrl });
    await holder.connect();
    const key = `egret alerts of sync ${syncId}`;
    await holder.query("select pg_advisory_lock(hashtextextended($1, 0))", [key]);
    const { runId, events } = await run();
    expect(events.at(-1)?.type).toBe("sync.failed");
    await egret.kill9();
    await holder.end();
    const { log, database } = scenario.services;
    const alertId = (await getAlert(database.db, episode))?.configuration_id ?? 0;
    const aggregate = { kind: "alert", workspaceId: 1, syncId, alertId } as const;
    expect((await log.last(aggregate))?.event.version).toBe(2);

    egret = await startEgretProcess(settings);
    await told(3);
    expect(alerts()[2]).toMatchObject({ event: "sync.alert.raised", sync_run_id: runId });
    expect(alerts()[2]?.alert_instance_id).not.toBe(episode);
    await mendIt();
    await run();
    await told(4);
    expect(alerts().map(({ event }) => event)).toEqual([
      "sync.alert.raised",
      "sync.alert.resolved",
      "sync.alert.raised",
      "sync.alert.resolved",
    ]);
    expect((await log.load(aggregate)).map(({ event }) => event.state)).toEqual([
      "raised",
      "resolved",
      "raised",
      "resolved",
    ]);
    await expect
      .poll(async () => (await listAlerts(database.db, { isOpen: true, limit: 9 })).length, {
        timeout: 20_000,
      })
      .toBe(0);
  });
});
