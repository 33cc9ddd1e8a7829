import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AlertFact } from "../../machines/alert.ts";
import { connectLog, ensureTopology, type LogConnection } from "../../src/log/connection.ts";
import { EventLog, type Head, NEW_AGGREGATE } from "../../src/log/eventLog.ts";
import { Topology } from "../../src/log/topology.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { projectBatch } from "../../src/projections/projectEvents.ts";
import { alertHistory } from "../support/alertHistory.ts";
import { ownInstallation, runCli } from "../support/cli.ts";
import { runHistory, stored } from "../support/events.ts";
import { removeStreams, TEST_LIMITS } from "../support/log.ts";

const installation = await ownInstallation();
const egret = (...args: string[]) => runCli(args, installation);
let connection: LogConnection;
let log: EventLog;
let database: OpenDatabase;

const EPISODES: Record<number, AlertFact["type"][]> = {
  31: ["limit.violated", "limit.violated", "limit.kept", "limit.violated"],
  32: ["moment.came", "limit.violated", "watch.ended"],
};

beforeAll(async () => {
  connection = await connectLog(
    installation["EGRET_NATS_URL"]!,
    new Topology(installation["EGRET_STREAM_PREFIX"]),
  );
  await ensureTopology(connection, TEST_LIMITS);
  log = new EventLog(connection);
  database = openDatabase(installation["EGRET_DATABASE_URL"]!);
});
afterAll(async () => {
  log.close();
  await removeStreams(connection);
  await connection.close();
  await database.close();
});

/** Puts episodes of two alerts of sync 88 into the log and the read models. */
async function happen(): Promise<void> {
  await database.pool.query(`
    insert into egret.workspaces (id, name) overriding system value values (12, 'demo');
    insert into egret.sources (id, workspace_id, name, type, settings, secret) overriding system value
      values (1, 12, 's', 'postgres', '{}', '');
    insert into egret.destinations (id, workspace_id, name, type, settings, secret) overriding system value
      values (1, 12, 'd', 'webhook', '{}', '');
    insert into egret.syncs (id, workspace_id, name, source_id, table_schema, table_name, destination_id, operation, mappings)
      overriding system value values (88, 12, 'people', 1, 'public', 'people', 1, 'upsert', '[]'),
        (89, 12, 'quiet', 1, 'public', 'people', 1, 'upsert', '[]')`);
  const histories = Object.entries(EPISODES).map(([id, facts]) =>
    alertHistory({ alertId: Number(id), facts }),
  );
  for (const history of histories) {
    let head: Head = NEW_AGGREGATE;
    for (const { id, type, machine, state, data, subject, time } of history) {
      const alertId = Number(subject.split("/")[1]);
      const aggregate = { kind: "alert", workspaceId: 12, syncId: 88, alertId } as const;
      const draft = { id, type, machine, state, data, time: new Date(time) };
      const { event, sequence } = await log.append(aggregate, draft, head);
      head = { version: event.version, sequence };
    }
  }
  const client = await database.pool.connect();
  const events = stored([...runHistory({ runId: 7001, syncId: 88 }), ...histories.flat()]);
  await projectBatch(client, { stream: "runs", streamCreated: new Date(), events });
  client.release();
}

describe("egret alerts and egret alert show", { concurrent: false }, () => {
  test("say so where there are none", async () => {
    expect(await egret("alerts")).toMatchObject({ code: 0, stdout: "no alerts yet\n" });
    expect(await egret("alerts", "--open")).toMatchObject({ code: 0, stdout: "no open alerts\n" });
    const { code, stderr } = await egret("alert", "show", "3101");
    expect(code).toBe(2);
    expect(stderr).toContain("there is no alert 3101; `egret alerts` shows the latest");
    await happen();
  });

  test("list episodes newest first, with run, times and what it was", async () => {
    const { code, stdout } = await egret("alerts");
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^alert +sync +state +type +run +raised +times +resolved +what$/);
    expect(lines.slice(1).map((line) => line.split(/ {2,}/).slice(0, 4).join(" ").trim())).toEqual([
      "3202 sync 88 resolved Failure",
      "3201 sync 88 resolved Failure",
      "3102 sync 88 open Failure",
      "3101 sync 88 resolved Failure",
    ]);
    expect(lines[4]).toMatch(/ 7002 +2026-01-05 09:00:01Z +2 +2026-01-05 09:00:03Z +message 1: details 1$/);
  });

  test("only open ones, those of a sync, and as JSON", async () => {
    const ids = async (...args: string[]) => {
      const { stdout } = await egret("alerts", "--json", ...args);
      const lines = stdout.split("\n").filter((line) => line !== "");
      return lines.map((line) => (JSON.parse(line) as { id: number }).id);
    };
    expect(await ids("--open")).toEqual([3102]);
    expect(await ids("--sync", "people", "--limit", "2")).toEqual([3202, 3201]);
    expect(await ids("--sync", "quiet")).toEqual([]);
    expect(await ids("--workspace", "demo", "--open")).toEqual([3102]);
    expect((await egret("alerts", "--sync", "peple")).stderr).toMatch(
      /no sync "peple".*Did you mean "people"/,
    );
  });

  test("show one with its runs, its texts and only its own events", async () => {
    const { code, stdout } = await egret("alert", "show", "3101");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^alert 3101 {2}Failure {2}resolved\n/);
    expect(stdout).toMatch(/watched by +alert configuration 31\n/);
    expect(stdout).toMatch(/raised +2026-01-05 09:00:01Z by run 7001\n/);
    expect(stdout).toMatch(/last raised +2026-01-05 09:00:02Z by run 7002, 2 times\n/);
    expect(stdout).toMatch(/resolved +2026-01-05 09:00:03Z by run 7003\n/);
    expect(stdout).toMatch(/outcome +message 2: details 2\n/);
    const events = stdout.split("\n").filter((line) => line.includes(" alert/31 "));
    expect(events.map((line) => /alert\.\w+/.exec(line)?.[0])).toEqual([
      "alert.raised",
      "alert.raised",
      "alert.resolved",
    ]);
    expect(events[2]).toMatch(/v3 alert\.resolved +Failure alert 3101 on run 7003: message 2: details 2$/);
    const json = JSON.parse((await egret("alert", "show", "3202", "--json")).stdout) as { events: unknown[] };
    expect(json).toMatchObject({ id: 3202, resolution: "configuration_deleted", resolved_run_id: null });
    expect(json.events).toHaveLength(2);
  });

  test("tell of one that was closed without a word", async () => {
    const { stdout } = await egret("alert", "show", "3202");
    expect(stdout).toMatch(/why +its configuration was deleted; webhooks were not told\n/);
    expect(stdout).toMatch(/Failure alert 3202: closed, configuration deleted\n/);
  });
});
