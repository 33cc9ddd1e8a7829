import { sql } from "kysely";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { SYNC_RUN_MACHINE } from "../../../machines/syncRun.ts";
import type { LogConnection } from "../../../src/log/connection.ts";
import { type EventLog, NEW_AGGREGATE } from "../../../src/log/eventLog.ts";
import { type OpenDatabase, openDatabase } from "../../../src/projections/database.ts";
import { startSequences } from "../../../src/runtime/triggers/sequence.ts";
import type { WorkQueue } from "../../../src/runtime/workQueue.ts";
import { testLog } from "../../support/log.ts";
import { testDatabase } from "../../support/namespace.ts";
import { makeSync, makeWorkspace, type QueuedCommand, queuedCommands } from "./parts.ts";

const logger = pino({ level: "silent" });

describe("sequences", () => {
  let database: OpenDatabase;
  let connection: LogConnection;
  let log: EventLog;
  let running: WorkQueue[] = [];
  let lastRun = 0;
  beforeAll(async () => {
    database = openDatabase((await testDatabase({ migrated: true })).url);
    ({ connection, log } = await testLog());
    await makeWorkspace(database);
  });
  afterEach(async () => {
    await Promise.all(running.map((queue) => queue.close()));
    running = [];
  });
  afterAll(() => database.close());

  const start = (through: LogConnection = connection) =>
    void running.push(startSequences({ db: database.db, connection: through, logger }));

  /** The last event of a run of a sync; its commands count as accepted, as a command worker would have it. */
  async function end(
    syncId: number,
    type: "sync.success" | "sync.failed",
    children: number[],
  ): Promise<number> {
    lastRun += 1;
    const runId = lastRun;
    for (const child of children) {
      await sql`insert into egret.accepted_commands (workspace_id, command_id, run_id)
        values (1, ${`sequence-${child}-${runId}`}, 1)`.execute(database.db);
    }
    const ids = { workspace_id: 1, sync_id: syncId, sync_run_id: runId };
    const aggregate = { kind: "run", workspaceId: 1, syncId, runId } as const;
    const machine = SYNC_RUN_MACHINE;
    if (type === "sync.success") {
      const draft = { type, machine, state: "completed.success", data: { ...ids, duration_ms: 1 } } as const;
      await log.append(aggregate, draft, NEW_AGGREGATE);
    } else {
      const data = { ...ids, duration_ms: 1, error_code: "SYNC_CANCELED", error_message: "stop" };
      await log.append(aggregate, { type, machine, state: "completed.failed", data }, NEW_AGGREGATE);
    }
    return runId;
  }

  async function commandsOf(parentRun: number, count: number): Promise<QueuedCommand[]> {
    for (;;) {
      const all = await queuedCommands(connection);
      const own = all.filter(({ id }) => id.endsWith(`-${parentRun}`));
      if (own.length >= count) return own;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  test("trigger the children of a sync that ended well, in the order of their ids", async () => {
    const parent = await makeSync(database, "load");
    const [second, third] = [
      await makeSync(database, "second", { sync_sequence: "load" }),
      await makeSync(database, "third", { sync_sequence: "load", paused: false }),
    ];
    await makeSync(database, "other", { sync_sequence: "second" });
    start();
    const run = await end(parent, "sync.success", [second, third]);
    const commands = await commandsOf(run, 2);
    expect(commands).toEqual(
      [second, third].map((child) => ({
        id: `sequence-${child}-${run}`,
        payload: { sync: child, requested_via: "Sequence", reason: `After run ${run} of load` },
      })),
    );
  });

  test("do not start paused children, nor any after a run that failed or was cancelled", async () => {
    const parent = await makeSync(database, "extract");
    await makeSync(database, "by file", { sync_sequence: "extract", paused: true });
    const byHand = await makeSync(database, "by hand", { sync_sequence: "extract" });
    await sql`update egret.syncs set paused = true where id = ${byHand}`.execute(database.db);
    const child = await makeSync(database, "child", { sync_sequence: "extract" });
    start();
    const failed = await end(parent, "sync.failed", []);
    const good = await end(parent, "sync.success", [child]);
    // Ends are taken in order: with the good one's command here, the failed one's would have come before.
    expect((await commandsOf(good, 1)).map(({ payload }) => payload.sync)).toEqual([child]);
    expect(await commandsOf(failed, 0)).toEqual([]);
  });

  test("lose and double none when a process dies between two commands", async () => {
    const parent = await makeSync(database, "stage");
    const children = [
      await makeSync(database, "stage one", { sync_sequence: "stage" }),
      await makeSync(database, "stage two", { sync_sequence: "stage" }),
    ];
    let published = 0;
    const dying: LogConnection = {
      ...connection,
      js: new Proxy(connection.js, {
        get: (target, key) => {
          if (key !== "publish") {
            const value = Reflect.get(target, key, target) as unknown;
            return typeof value === "function" ? (value.bind(target) as unknown) : value;
          }
          return (...args: Parameters<typeof target.publish>) => {
            published += 1;
            if (published === 2) throw new Error("killed");
            return target.publish(...args);
          };
        },
      }),
    };
    start(dying);
    const run = await end(parent, "sync.success", children);
    const commands = await commandsOf(run, 2);
    expect(commands.map(({ payload }) => payload.sync)).toEqual(children);
    expect(published).toBeGreaterThan(2);
  });

  test("share the ends of runs among several processes", async () => {
    const parent = await makeSync(database, "many");
    const child = await makeSync(database, "many after", { sync_sequence: "many" });
    start();
    start();
    const runs: number[] = [];
    for (let n = 0; n < 10; n++) runs.push(await end(parent, "sync.success", [child]));
    for (const run of runs) expect(await commandsOf(run, 1)).toHaveLength(1);
  });
});
