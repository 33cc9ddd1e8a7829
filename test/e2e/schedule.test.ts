/** Two whole Egrets on one log and one Postgres: what starts runs, and how many run at once. */
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createHook } from "../../src/configuration/hooks.ts";
import type { AnyEvent } from "../../src/domain/event.ts";
import { publishCommand } from "../../src/log/commands.ts";
import { follow } from "../../src/log/follow.ts";
import { startEgret } from "../../src/main.ts";
import { getRun, type Run } from "../../src/projections/runs.ts";
import { getSync } from "../../src/projections/syncs.ts";
import { type AppliedYaml, applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const LIMIT = 2;
const PATIENCE = { timeout: 30_000, interval: 20 };

const warehouse = await testDatabase();
const egret: TestEgret = await testEgret({ runsPerWorkspace: LIMIT });
const { services } = egret;
const { db, pool } = services.database;
let source: Client;
let destination: Receiver;
let subscriber: Receiver;
/** Closed, the destination keeps every run under way. */
let gate = Promise.withResolvers<void>();
const gated = async () => {
  await gate.promise;
  return {};
};

const yaml = (syncs: Record<string, string>) => `
workspace: demo
sources: { db: { type: postgres, url: "${warehouse.url}" } }
destinations: { ops: { type: webhook, url: "${destination.url}/rows", rate_limit_per_second: 1000 } }
syncs:
${Object.entries(syncs)
  .map(([name, more]) => `  ${name}: { source: db, table: public.rows, destination: ops, key: id, ${more} }`)
  .join("\n")}
webhooks: { pager: { endpoint: "${subscriber.url}/hook" } }
`;
/** Syncs of the test before go, which their runs have to let go of first. */
async function apply(syncs: Record<string, string>): Promise<AppliedYaml> {
  const active = "select from egret.sync_states where active_run_id is not null";
  await expect.poll(async () => (await pool.query(active)).rowCount, PATIENCE).toBe(0);
  return applyYaml(egret, yaml(syncs));
}

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query("create table rows as select 1 as id");
  destination = await startReceiver(gated);
  subscriber = await startReceiver();
  const other = await startEgret(egret.settings);
  return async () => {
    gate.resolve();
    await other.close();
  };
});
beforeEach(() => {
  gate.resolve();
  gate = Promise.withResolvers<void>();
});
afterAll(async () => {
  await source.end();
  await destination.close();
  await subscriber.close();
});

/** A row changes, so that the next run of each sync has something to send. */
const change = () => source.query("update rows set id = id + 1");
const open = () => gate.resolve();

/** Events of runs so far, oldest first. */
async function runEvents(): Promise<AnyEvent[]> {
  const { lastSequence } = await services.log.info("runs");
  const stop = new AbortController();
  const events: AnyEvent[] = [];
  const from = { fromSequence: 1, maxBatch: 500, signal: stop.signal };
  for await (const batch of follow(services.connection, "runs", from)) {
    events.push(...batch.filter(({ sequence }) => sequence <= lastSequence).map(({ event }) => event));
    if ((batch.at(-1)?.sequence ?? 0) >= lastSequence) break;
  }
  stop.abort();
  return events;
}

async function runsOf(syncId: number): Promise<Run[]> {
  return db.selectFrom("egret_read.runs").selectAll().where("sync_id", "=", syncId).orderBy("id").execute();
}

async function untilRuns(syncId: number, holds: (runs: Run[]) => boolean): Promise<Run[]> {
  await expect.poll(async () => holds(await runsOf(syncId)), PATIENCE).toBe(true);
  return runsOf(syncId);
}

/** As if the scheduler had planned this tick, long ago. */
const makeDue = (syncId: number, at: string) =>
  pool.query("update egret.schedule_ticks set is_planned = true, next_tick_at = $2 where sync_id = $1", [
    syncId,
    at,
  ]);

const trigger = (sync: string, id: string) =>
  publishCommand(services.connection, { workspaceId: 1, verb: "trigger", payload: { sync }, id });

const HOURLY = "schedule: { frequency: hourly, minute: 5 }";

describe("a schedule", () => {
  test("starts one run for the latest missed tick, though two schedulers run", async () => {
    open();
    const syncId = await (await apply({ ticking: HOURLY })).id("sync", "ticking");
    const now = new Date();
    const latest = new Date(now);
    latest.setUTCMinutes(5, 0, 0);
    if (latest > now) latest.setUTCHours(latest.getUTCHours() - 1);
    await makeDue(syncId, new Date(latest.getTime() - 5 * 3_600_000).toISOString());
    const [run, ...more] = await untilRuns(syncId, (runs) => runs[0]?.status === "completed");
    expect(more).toEqual([]);
    expect(run).toMatchObject({
      trigger_tag: "Schedule",
      trigger_detail: "Hourly at minute 5",
      scheduled_execution_time: latest,
    });
    const { rows } = await pool.query<{ next: Date; last: Date }>(
      "select next_tick_at as next, last_tick_at as last from egret.schedule_ticks where sync_id = $1",
      [syncId],
    );
    expect(rows).toEqual([{ next: new Date(latest.getTime() + 3_600_000), last: latest }]);
  });

  test("writes a skipped run while one is under way, and tells no webhook of it", async () => {
    await change();
    const syncId = await (await apply({ busy: HOURLY })).id("sync", "busy");
    const { runId: running } = await triggerAndWait(egret, { sync: "busy" }, { until: ["sync.planned"] });
    const told = subscriber.requests.length;
    await makeDue(syncId, "2026-02-03T10:05:00Z");
    const [, skipped] = await untilRuns(syncId, (runs) => runs.length === 2);
    expect(skipped).toMatchObject({
      status: "skipped",
      state: "skipped",
      version: 1,
      trigger_tag: "Schedule",
      scheduled_execution_time: expect.any(Date),
      error_code: null,
      started_at: null,
    });
    expect(skipped?.completed_at).toEqual(skipped?.created_at);
    expect(await getSync(db, syncId)).toMatchObject({ last_run_id: running });
    open();
    await untilRuns(syncId, (runs) => runs[0]?.status === "completed");
    await subscriber.waitFor((requests) =>
      requests.slice(told).some(({ body }) => body.includes("sync.success")),
    );
    const tellsOfSkipped = subscriber.requests.some(
      ({ body }) => (JSON.parse(body.toString()) as { sync_run_id: number }).sync_run_id === skipped?.id,
    );
    expect(tellsOfSkipped).toBe(false);
    expect(await getSync(db, syncId)).toMatchObject({ last_run_id: running, status: "up to date" });
  });
});

describe("overlap_policy: queue_one", () => {
  test("lets one run wait for the end of the one under way", async () => {
    await change();
    const syncId = await (await apply({ queued: "overlap_policy: queue_one" })).id("sync", "queued");
    await triggerAndWait(egret, { sync: "queued" }, { until: ["sync.planned"] });
    for (const id of ["q1", "q2", "q3"]) await trigger("queued", id);
    await untilRuns(syncId, (runs) => runs.length === 2);
    await expect
      .poll(async () => {
        const { rows } = await pool.query<{ run: number }>(
          "select run_id as run from egret.accepted_commands where command_id in ('q1', 'q2', 'q3')",
        );
        return { count: rows.length, runs: new Set(rows.map(({ run }) => run)).size };
      }, PATIENCE)
      .toEqual({ count: 3, runs: 1 });
    expect((await runsOf(syncId)).map(({ status }) => status)).toEqual(["working", "queued"]);
    open();
    const [first, second, ...more] = await untilRuns(syncId, (runs) =>
      runs.every(({ status }) => status === "completed"),
    );
    expect(more).toEqual([]);
    expect(Number(second?.started_at)).toBeGreaterThanOrEqual(Number(first?.completed_at));
  });
});

describe("a workspace", () => {
  test("has no more runs at work than its limit, over both processes, and the oldest go first", async () => {
    await change();
    const names = Array.from({ length: 7 }, (_, n) => `s${n}`);
    const applied = await apply(Object.fromEntries(names.map((name) => [name, ""])));
    const ids = await Promise.all(names.map((name) => applied.id("sync", name)));
    /** Runs at work, each by the request that it waits for. */
    const held: (() => void)[] = [];
    const isHeld = (count: number) => expect.poll(() => held.length, PATIENCE).toBe(count);
    destination.behave(async () => {
      await new Promise<void>((resolve) => held.push(resolve));
      return {};
    });
    for (const name of names) await trigger(name, `limit-${name}`);
    // All are known, two at work, before any may end.
    const slots = "select state, count(*)::int from egret.run_slots group by state order by state";
    await expect
      .poll(async () => (await pool.query<{ state: string; count: number }>(slots)).rows, PATIENCE)
      .toEqual([
        { state: "waiting", count: names.length - LIMIT },
        { state: "working", count: LIMIT },
      ]);
    // One place is free at a time, so that its taker says so before the next one is free.
    for (let left = names.length; left > LIMIT; left--) {
      await isHeld(LIMIT);
      held.shift()?.();
    }
    await isHeld(LIMIT);
    for (const release of held) release();
    for (const id of ids) await untilRuns(id, (runs) => runs.at(-1)?.status === "completed");
    destination.behave(gated);
    const own = (await runEvents()).filter(
      ({ data }) => "sync_id" in data && ids.includes(data.sync_id ?? 0),
    );
    let working = 0;
    let most = 0;
    const started: number[] = [];
    for (const event of own) {
      if (event.type === "sync.success") working -= 1;
      if (event.type !== "sync.started") continue;
      working += 1;
      most = Math.max(most, working);
      started.push(event.data.sync_run_id);
    }
    expect(most).toBe(LIMIT);
    const waited = started.slice(LIMIT);
    expect(waited).toEqual(waited.toSorted((a, b) => a - b));
    expect(started).toHaveLength(names.length);
  });
});

describe("a sequence", () => {
  test("starts the children of a run that ended well, and not the paused ones", async () => {
    open();
    const applied = await apply({
      parent: "",
      child: "sync_sequence: parent",
      resting: "sync_sequence: parent, paused: true",
      grandchild: "sync_sequence: child",
    });
    const [child, resting, grandchild] = await Promise.all(
      ["child", "resting", "grandchild"].map((name) => applied.id("sync", name)),
    );
    const { runId } = await triggerAndWait(egret, { sync: "parent" });
    const [last] = await untilRuns(grandchild ?? 0, (runs) => runs[0]?.status === "completed");
    const [between] = await runsOf(child ?? 0);
    expect(between).toMatchObject({
      trigger_tag: "Sequence",
      trigger_detail: `After run ${runId} of parent`,
    });
    expect(last).toMatchObject({ trigger_detail: `After run ${between?.id} of child` });
    expect(await runsOf(resting ?? 0)).toEqual([]);
  });

  test("starts nothing after a run that failed", async () => {
    const applied = await apply({ parent: "", child: "sync_sequence: parent" });
    const child = await applied.id("sync", "child");
    const before = await runsOf(child);
    await source.query("alter table rows rename column id to other");
    const { events } = await triggerAndWait(egret, { sync: "parent" });
    await source.query("alter table rows rename column other to id");
    expect(events.at(-1)?.type).toBe("sync.failed");
    open();
    await change();
    const { runId } = await triggerAndWait(egret, { sync: "parent" });
    const runs = await untilRuns(child, (all) => all.length > before.length);
    expect(runs.slice(before.length).map(({ trigger_detail }) => trigger_detail)).toEqual([
      `After run ${runId} of parent`,
    ]);
    await untilRuns(child, (all) => all.at(-1)?.status === "completed");
  });
});

describe("an inbound hook", () => {
  test("starts its sync", async () => {
    open();
    const syncId = await (await apply({ hooked: "" })).id("sync", "hooked");
    const hook = { workspaceId: 1, syncId, kind: "generic", actor: "test" } as const;
    const { id, token } = await createHook(db, hook);
    const response = await fetch(`${egret.url}/hooks/${token}`, { method: "POST" });
    expect(response.status).toBe(202);
    const { data } = (await response.json()) as { data: { command_id: string } };
    const [run] = await untilRuns(syncId, (runs) => runs[0]?.status === "completed");
    expect(run).toMatchObject({
      command_id: data.command_id,
      trigger_tag: "Inbound Hook",
      trigger_detail: `Hook ${id}`,
      scheduled_execution_time: null,
    });
    expect(await getRun(db, run?.id ?? 0)).toEqual(run);
  });
});
