import { afterAll, beforeEach, describe, expect, test } from "vitest";
import type { AlertFact } from "../../machines/alert.ts";
import { countOpenAlerts, getAlert, listAlerts } from "../../src/projections/alerts.ts";
import { openDatabase } from "../../src/projections/database.ts";
import { projectBatch } from "../../src/projections/projectEvents.ts";
import { rebuildReadModels } from "../../src/projections/rebuild.ts";
import { alertHistory } from "../support/alertHistory.ts";
import { EPOCH_MS, runHistory, stored } from "../support/events.ts";
import { testDatabase } from "../support/namespace.ts";
import { ArraySource } from "./arraySource.ts";
import { dump, empty } from "./dump.ts";

const { url } = await testDatabase({ migrated: true });
const database = openDatabase(url);
const { db, pool } = database;
const client = await pool.connect();
const source = new ArraySource();

afterAll(async () => {
  client.release();
  await database.close();
});
beforeEach(() => empty(pool));

const EPISODE: AlertFact["type"][] = ["limit.violated", "limit.violated", "limit.kept"];
const project = (events: ReturnType<typeof stored>) =>
  projectBatch(client, { stream: "runs", streamCreated: source.created, events });
const rows = async () => (await dump(pool))["alerts"];
const after = (seconds: number) => new Date(EPOCH_MS + seconds * 1_000);

describe("the read model of alerts", () => {
  test("shows an open episode with its first and its last raise", async () => {
    await project(stored(alertHistory({ alertId: 31, facts: EPISODE.slice(0, 2) })));
    expect(await rows()).toEqual([
      {
        id: 3101,
        configuration_id: 31,
        workspace_id: 12,
        sync_id: 88,
        type: "FailureAlertConfiguration",
        state: "open",
        raised_run_id: 7001,
        last_raised_run_id: 7002,
        resolved_run_id: null,
        times_raised: 2,
        message: "message 1",
        details: "details 1",
        followup_url: "https://x/1",
        resolution: null,
        resolved_message: null,
        resolved_details: null,
        raised_at: after(1),
        last_raised_at: after(2),
        resolved_at: null,
        updated_at: after(2),
      },
    ]);
  });

  test("shows by which run an episode was resolved, and what it was", async () => {
    await project(stored(alertHistory({ alertId: 31, facts: EPISODE })));
    expect(await getAlert(db, 3101)).toMatchObject({
      state: "resolved",
      resolved_run_id: 7003,
      resolution: "recovered",
      message: "message 1",
      resolved_message: "message 2",
      resolved_details: "details 2",
      times_raised: 2,
      resolved_at: after(3),
    });
  });

  test("shows a moment as over, and one that nobody watches as closed by no run", async () => {
    await project(
      stored(alertHistory({ alertId: 31, facts: ["moment.came", "limit.violated", "watch.ended"] })),
    );
    expect(await rows()).toMatchObject([
      { id: 3101, state: "resolved", resolution: "moment", resolved_run_id: 7001, resolved_at: after(1) },
      { id: 3102, state: "resolved", resolution: "configuration_deleted", resolved_run_id: null },
    ]);
  });

  test("is the same whatever batches the events come in, and when they come again", async () => {
    const events = stored(alertHistory({ alertId: 31, facts: [...EPISODE, ...EPISODE, "moment.came"] }));
    await project(events);
    const atOnce = await rows();
    expect(atOnce).toHaveLength(3);
    await empty(pool);
    for (let at = 0; at < events.length; at++) await project(events.slice(Math.max(0, at - 1), at + 1));
    expect(await rows()).toEqual(atOnce);
  });

  test("makes no row from the end of an episode whose beginning is gone", async () => {
    await project(stored(alertHistory({ alertId: 31, facts: EPISODE })).slice(2));
    expect(await rows()).toEqual([]);
  });

  test("is the same after a rebuild (I1)", async () => {
    const events = stored([
      ...runHistory({ runId: 7001 }),
      ...alertHistory({ alertId: 31, facts: [...EPISODE, "limit.violated"] }),
      ...alertHistory({ alertId: 32, facts: ["moment.came", "limit.violated", "watch.ended"] }),
    ]);
    source.append("runs", events);
    await project(events);
    const before = await rows();
    expect(before).toHaveLength(4);
    await rebuildReadModels({ source, database });
    expect(await rows()).toEqual(before);
  });

  test("lists episodes newest first, of a sync or a workspace, and those that are open", async () => {
    await project(
      stored([
        ...runHistory({ runId: 7001, syncId: 88 }),
        ...alertHistory({ alertId: 31, syncId: 88, facts: [...EPISODE, "limit.violated"] }),
        ...alertHistory({ alertId: 32, syncId: 89, facts: ["limit.violated"] }),
      ]),
    );
    const ids = async (wanted: Parameters<typeof listAlerts>[1]) =>
      (await listAlerts(db, wanted)).map(({ id }) => id);
    expect(await ids({ limit: 9 })).toEqual([3201, 3102, 3101]);
    expect(await ids({ limit: 1 })).toEqual([3201]);
    expect(await ids({ limit: 9, before: 3102 })).toEqual([3101]);
    expect(await ids({ limit: 9, isOpen: true })).toEqual([3201, 3102]);
    expect(await ids({ limit: 9, syncId: 88 })).toEqual([3102, 3101]);
    expect(await ids({ limit: 9, workspaceId: 13 })).toEqual([]);
    const [unknown, known] = await listAlerts(db, { limit: 2 });
    expect([unknown?.sync_name, known?.sync_name]).toEqual([null, "sync 88"]);
    expect(await countOpenAlerts(db)).toEqual(new Map([["FailureAlertConfiguration", 2]]));
  });
});
