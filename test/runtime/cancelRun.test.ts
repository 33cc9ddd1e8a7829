import { randomUUID } from "node:crypto";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { RunAggregate } from "../../src/domain/aggregate.ts";
import type { AnyEvent } from "../../src/domain/event.ts";
import { publishCommand } from "../../src/log/commands.ts";
import type { LogConnection } from "../../src/log/connection.ts";
import { cancelRun } from "../../src/runtime/runs/cancelRun.ts";
import { type AppliedYaml, applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const warehouse = await testDatabase();
// One place for a run in the workspace: a second one waits in the queue.
const egret: TestEgret = await testEgret({ runsPerWorkspace: 1 });
const { connection, database, log } = egret.services;
let source: Client;
let destination: Receiver;
let subscriber: Receiver;
let down: Receiver;
let applied: AppliedYaml;

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(
    "create table people as select n as id, 'person ' || n as name from generate_series(1, 40) n",
  );
  destination = await startReceiver();
  subscriber = await startReceiver();
  down = await startReceiver({ status: 503, headers: { "retry-after": "60" } });
  applied = await applyYaml(
    egret,
    `
workspace: demo
sources:
  warehouse: { type: postgres, url: "${warehouse.url}" }
models:
  slow: { source: warehouse, query: "select n as id, 'x' as name from generate_series(1, 3) n, pg_sleep(60)" }
  unkeyed: { source: warehouse, query: "select null::int as id, 'x' as name" }
destinations:
  ops: { type: webhook, url: "${destination.url}/rows", parallel_requests: 2, rate_limit_per_second: 1000 }
  down: { type: webhook, url: "${down.url}/rows", parallel_requests: 2, timeout_seconds: 60 }
syncs:
  lost: { source: warehouse, table: public.people, destination: down, key: id }
  people: { source: warehouse, table: public.people, destination: ops, key: id }
  others: { source: warehouse, table: public.people, destination: ops, key: id }
  slow: { model: slow, destination: ops, key: id }
  unkeyed: { model: unkeyed, destination: ops, key: id }
webhooks:
  pager: { endpoint: "${subscriber.url}/hook" }
`,
  );
});

afterAll(async () => {
  await source.end();
  await destination.close();
  await subscriber.close();
  await down.close();
});

const aggregateOf = async (sync: string, runId: number): Promise<RunAggregate> => ({
  kind: "run",
  workspaceId: 1,
  syncId: await applied.id("sync", sync),
  runId,
});
const historyOf = async (run: RunAggregate) => (await log.load(run)).map(({ event }) => event);
const dataOf = (events: readonly AnyEvent[], type: AnyEvent["type"]) =>
  events.find((event) => event.type === type)?.data;

/** Asks by a command, and returns its id. */
async function askToCancel(runId: number, id: string = randomUUID()): Promise<string> {
  await publishCommand(connection, {
    workspaceId: 1,
    verb: "cancel",
    payload: { run: runId, reason: "a test" },
    id,
  });
  return id;
}

async function endOf(run: RunAggregate, timeoutMs = 20_000): Promise<AnyEvent[]> {
  const last = async () => (await log.last(run))?.event.state;
  await expect.poll(last, { timeout: timeoutMs }).toMatch(/^completed\.(success|failed)$/);
  return historyOf(run);
}

async function refusalOf(id: string): Promise<unknown> {
  const refused = async () =>
    (await log.last({ kind: "command", workspaceId: 1, commandId: id }))?.event.data;
  await expect.poll(refused, { timeout: 10_000 }).toBeDefined();
  return refused();
}

/** Answers only once the test says so. */
function holdAnswers(): () => void {
  const gate = Promise.withResolvers<undefined>();
  destination.behave(async () => {
    await gate.promise;
    return {};
  });
  return () => gate.resolve(undefined);
}

const CANCELED = { status: "emergency", canceled: true, error_code: "SYNC_CANCELED" };

describe("cancelling a run", { concurrent: false }, () => {
  test("while it is queued ends it at once, before any worker takes it up", async () => {
    const answer = holdAnswers();
    const before = destination.requests.length;
    const busy = await triggerAndWait(egret, { sync: "people" }, { until: ["sync.planned"] });
    await destination.waitFor(before + 2);
    const waiting = await triggerAndWait(egret, { sync: "others" }, { until: ["sync.triggered"] });
    await askToCancel(waiting.runId);
    const events = await endOf(await aggregateOf("others", waiting.runId));
    expect(events.map(({ type, state }) => [type, state])).toEqual([
      ["sync.triggered", "triggered"],
      ["sync.cancel_requested", "canceling"],
      ["sync.completed", "completed.concluding"],
      ["sync.failed", "completed.failed"],
    ]);
    expect(dataOf(events, "sync.completed")).toMatchObject({ ...CANCELED, records_processed: null });
    const told = async () =>
      subscriber.requests
        .map(
          ({ body }) =>
            JSON.parse(body.toString()) as { sync_run_id: number; event: string; status?: string },
        )
        .filter((payload) => payload.sync_run_id === waiting.runId)
        .map(({ event, status = "" }) => `${event} ${status}`.trim())
        .sort();
    await expect
      .poll(told, { timeout: 20_000 })
      .toEqual(["sync.completed emergency", "sync.failed", "sync.triggered"]);
    // The busy one goes on as if nothing had happened, and the cancelled one's sync is free.
    answer();
    expect((await endOf(await aggregateOf("people", busy.runId))).at(-1)?.type).toBe("sync.success");
    destination.behave({});
    const again = await triggerAndWait(egret, { sync: "others" });
    expect(again.events.at(-1)?.type).toBe("sync.success");
  });

  test("while it loads lets requests under way end and count, starts no other, and leaves the rest to the next run", async () => {
    await source.query("update people set name = name || ' 2'");
    const before = destination.requests.length;
    const answer = holdAnswers();
    const { runId } = await triggerAndWait(egret, { sync: "people" }, { until: ["sync.planned"] });
    await destination.waitFor(before + 2);
    const run = await aggregateOf("people", runId);
    await askToCancel(runId);
    await expect.poll(async () => (await log.last(run))?.event.state, { timeout: 10_000 }).toBe("canceling");
    // Asked again while it is cancelled, nothing more happens.
    const id = await askToCancel(runId);
    const commands = async () =>
      (await connection.jsm.streams.info(connection.topology.commandStream)).state.messages;
    await expect.poll(commands, { timeout: 10_000 }).toBe(0);
    expect(await log.last({ kind: "command", workspaceId: 1, commandId: id })).toBeNull();
    answer();
    const events = await endOf(run);
    expect(events.filter(({ type }) => type === "sync.cancel_requested")).toHaveLength(1);
    expect(dataOf(events, "sync.cancel_requested")).toMatchObject({ requested_by: "a test" });
    const sent = destination.requests.length - before;
    expect(sent).toBeLessThan(40);
    expect(dataOf(events, "sync.completed")).toMatchObject({
      ...CANCELED,
      source_record_updates: 40,
      records_processed: sent,
      records_updated: sent,
      records_failed: 0,
    });
    destination.behave({});
    const rest = await triggerAndWait(egret, { sync: "people" });
    expect(dataOf(rest.events, "sync.completed")).toMatchObject({ source_record_updates: 40 - sent });
    expect(destination.requests.length - before).toBe(40);
  });

  test("does not wait for the next attempt at a destination that is down", async () => {
    const { runId } = await triggerAndWait(egret, { sync: "lost" }, { until: ["sync.planned"] });
    const run = await aggregateOf("lost", runId);
    const first = deliveryOf(run, await applied.id("destination", "down"));
    const state = async () => (await log.last(first))?.event.type;
    await expect.poll(state, { timeout: 10_000 }).toBe("delivery.retrying");
    const startedAt = performance.now();
    await askToCancel(runId);
    const events = await endOf(run, 50_000);
    // Sixty seconds is what the destination asked for, and what a request to it may take.
    expect(performance.now() - startedAt).toBeLessThan(50_000);
    expect(dataOf(events, "sync.completed")).toMatchObject({ ...CANCELED, records_processed: 0 });
  });

  test("while it reads the source ends the query there, by a hint within moments", async () => {
    const { runId } = await triggerAndWait(egret, { sync: "slow" }, { until: ["sync.checked"] });
    await expect.poll(() => sessionsReading(), { timeout: 10_000 }).toBe(1);
    await askToCancel(runId);
    const events = await endOf(await aggregateOf("slow", runId));
    expect(events.map(({ type }) => type)).not.toContain("sync.snapshotted");
    expect(dataOf(events, "sync.completed")).toMatchObject({ ...CANCELED, source_record_count: null });
    await expect.poll(() => sessionsReading(), { timeout: 10_000 }).toBe(0);
  });

  test("is found in the log by its worker when the hint is lost", async () => {
    const { runId } = await triggerAndWait(egret, { sync: "slow" }, { until: ["sync.checked"] });
    await expect.poll(() => sessionsReading(), { timeout: 10_000 }).toBe(1);
    const mute = { ...connection, nc: { isClosed: () => true } } as unknown as LogConnection;
    const request = { workspaceId: 1, runId, commandId: "mute", requestedBy: "a test" };
    const answer = await cancelRun({ connection: mute, log, release: async () => undefined }, request);
    expect(answer.kind).toBe("canceled");
    const events = await endOf(await aggregateOf("slow", runId));
    expect(dataOf(events, "sync.completed")).toMatchObject(CANCELED);
  });

  test("while it compares leaves no plan and no batch", async () => {
    const blocker = new Client({ connectionString: egret.databaseUrl });
    await blocker.connect();
    onTestFinished(() => blocker.end());
    await blocker.query("begin; lock table egret.invalid_rows in access exclusive mode");
    const { runId } = await triggerAndWait(egret, { sync: "unkeyed" }, { until: ["sync.snapshotted"] });
    const waiting = async () => {
      const { rows } = await blocker.query(
        "select 1 from pg_locks where relation = 'egret.invalid_rows'::regclass and not granted",
      );
      return rows.length;
    };
    await expect.poll(waiting, { timeout: 10_000 }).toBe(1);
    await askToCancel(runId);
    const events = await endOf(await aggregateOf("unkeyed", runId));
    await blocker.query("rollback");
    expect(events.map(({ type }) => type)).not.toContain("sync.planned");
    expect(dataOf(events, "sync.completed")).toMatchObject({ ...CANCELED, source_record_count: 1 });
    const { rows } = await database.pool.query(
      `select (select count(*) from egret.plans where run_id = $1) as plans, to_regclass('egret_state.stage_' || $1::text) as stage`,
      [runId],
    );
    expect(rows).toEqual([{ plans: 0, stage: null }]);
  });

  test("that has ended, or that nobody knows, is refused, and changes nothing", async () => {
    const { runId } = await triggerAndWait(egret, { sync: "others" });
    const run = await aggregateOf("others", runId);
    const before = await log.last(run);
    expect(await refusalOf(await askToCancel(runId))).toMatchObject({
      code: "RUN_ENDED",
      sync_run_id: runId,
      message: expect.stringContaining(`run ${runId} cannot be canceled any more: it has ended`),
    });
    expect(await log.last(run)).toEqual(before);
    expect(await refusalOf(await askToCancel(987_654))).toMatchObject({
      code: "UNKNOWN_RUN",
      message: expect.stringContaining("has no run 987654"),
    });
  });

  test("that a worker left in the middle is ended by the next worker", async () => {
    // The history of a run whose worker died right after somebody had asked to cancel it.
    const { rows } = await database.pool.query<{ id: number }>("select nextval('egret.run_ids') as id");
    const run = await aggregateOf("people", rows[0]!.id);
    const ids = { workspace_id: 1, sync_id: run.syncId, sync_run_id: run.runId };
    const facts = [
      [
        "sync.triggered",
        "triggered",
        {
          command_id: "c",
          sync_name: "people",
          force_full_sync: false,
          sync_trigger_reason: { ui_tag: "API", ui_detail: "" },
        },
      ],
      ["sync.started", "started.checking", { worker: "dead" }],
      ["sync.cancel_requested", "canceling", { command_id: "c2", requested_by: "somebody" }],
    ] as const;
    let head = { version: 0, sequence: 0 };
    const machine = "syncRun@2";
    // The first of them is the work item, so it comes last to the log's readers: a worker waits for the other two.
    for (const [type, state, data] of facts) {
      const draft = { type, machine, state, data: { ...ids, ...data } } as Parameters<typeof log.append>[1];
      const { event, sequence } = await log.append(run, draft, head).catch(async (error: unknown) => {
        // The worker of this test was quicker with its own start.
        const last = await log.last(run);
        if (last === null || last.event.type !== type) throw error;
        return last;
      });
      head = { version: event.version, sequence };
    }
    const events = await endOf(run);
    expect(dataOf(events, "sync.completed")).toMatchObject(CANCELED);
    expect(events.at(-1)?.type).toBe("sync.failed");
  });
});

function deliveryOf(run: RunAggregate, targetId: number) {
  const { workspaceId, runId } = run;
  return {
    kind: "delivery",
    workspaceId,
    targetKind: "destination",
    targetId,
    deliveryId: `${runId}-1`,
  } as const;
}

/** Sessions of Egret that read in this test's own warehouse. */
async function sessionsReading(): Promise<number> {
  const { rows } = await source.query(
    `select 1 from pg_stat_activity where datname = current_database() and application_name = 'egret'
       and state = 'active' and query like 'COPY %'`,
  );
  return rows.length;
}
