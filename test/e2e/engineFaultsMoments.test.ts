/** What goes on beside the phases of a run while something is broken: cancels, splits, dry runs, ticks and alerts. */
import { randomUUID } from "node:crypto";
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { AnyEvent } from "../../src/domain/event.ts";
import { publishCommand } from "../../src/log/commands.ts";
import { follow } from "../../src/log/follow.ts";
import { openServices, type Services } from "../../src/main.ts";
import { type AppliedYaml, applyYaml, testEgret, testSettings, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { bodyOf, expectLifecycle, expectSameRepeats, heldRows } from "../support/receiverModel.ts";
import { openGate } from "../support/tcpGate.ts";

const warehouse = await testDatabase();
const direct = await testSettings();
const gates = {
  far: await openGate(warehouse.url),
  database: await openGate(direct.databaseUrl),
  nats: await openGate(direct.natsUrl),
};
await testEgret({ ...direct, databaseUrl: gates.database.url, natsUrl: gates.nats.url });

let services: Services;
let applied: AppliedYaml;
let source: Client;
let away: ReturnType<typeof triggerAndWait>;
let receiver: Receiver;
let subscriber: Receiver;
/** Open, the receiver answers. */
let answering = Promise.withResolvers<void>();
/** Keys that the receiver refuses. */
const refused = new Set<string>();

const CASES: Record<string, string> = {
  away: "",
  canceled: "",
  split: "",
  fused: ", max_rejected_percent: 10, split_rejected_batches: false",
  queued: ", overlap_policy: queue_one",
  tried: "",
  ticking: ", schedule: { frequency: hourly, minute: 5 }",
  watched: "",
};

/** Fewer than twenty rejected rows blow no fuse. */
const rowsOf = (name: string) => (name === "fused" ? 48 : 16);

beforeEach(() => refused.clear());
beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  for (const name of Object.keys(CASES)) {
    await source.query(
      `create table ${name} as select n as id, 'Person ' || n as name
       from generate_series(1, ${rowsOf(name)}) n`,
    );
  }
  receiver = await startReceiver(async (request) => {
    await answering.promise;
    return bodyOf(request).data.some(({ unique_id }) => refused.has(String(unique_id)))
      ? { status: 422 }
      : {};
  });
  subscriber = await startReceiver();
  services = await openServices(direct);
  const names = Object.keys(CASES);
  applied = await applyYaml(
    { services },
    `
workspace: demo
sources:
  db: { type: postgres, url: "${warehouse.url}" }
  far: { type: postgres, url: "${gates.far.url}" }
destinations:
${names.map((name) => `  ${name}: { type: webhook, url: "${receiver.url}/${name}", batch_size: ${rowsOf(name) / 4}, parallel_requests: 2, rate_limit_per_second: 5000 }`).join("\n")}
syncs:
${names.map((name) => `  ${name}: { source: ${name === "away" ? "far" : "db"}, table: public.${name}, destination: ${name}, key: id${CASES[name]} }`).join("\n")}
webhooks: { pager: { endpoint: "${subscriber.url}/hook" } }
`,
  );
  answering.resolve();
  // It is given up after a quarter of a minute, while the other tests run.
  gates.far.cut();
  away = run("away", { timeoutMs: 120_000 });
  away.catch(() => undefined);
});
afterAll(async () => {
  await services.close();
  await source.end();
  await receiver.close();
  await subscriber.close();
});

const run = (sync: string, options = {}) => triggerAndWait({ services }, { sync }, options);
const sentTo = (sync: string) => receiver.requests.filter(({ path }) => path === `/${sync}`);
const dataOf = (events: readonly AnyEvent[], type: AnyEvent["type"]) =>
  events.find((event) => event.type === type)?.data;
const ask = (verb: "cancel" | "dry_run" | "trigger", payload: object) =>
  publishCommand(services.connection, { workspaceId: 1, verb, payload, id: randomUUID() });

/** What happened to the runs of a sync so far, as soon as it is enough. */
async function eventsOf(
  sync: string,
  isEnough: (events: readonly AnyEvent[]) => boolean,
): Promise<AnyEvent[]> {
  const syncId = await applied.id("sync", sync);
  const events: AnyEvent[] = [];
  const signal = AbortSignal.timeout(60_000);
  for await (const batch of follow(services.connection, "runs", { fromSequence: 1, maxBatch: 500, signal })) {
    events.push(
      ...batch.map(({ event }) => event).filter(({ data }) => "sync_id" in data && data.sync_id === syncId),
    );
    if (isEnough(events)) return events;
  }
  throw new Error(`not enough happened to ${sync}: ${events.map(({ type }) => type).join(", ")}`);
}

/** The receiver has all of the table, and a further run has nothing to send. */
async function expectSettled(sync: string): Promise<void> {
  const { rows } = await source.query<{ id: number; name: string }>(`select id, name from ${sync}`);
  expect(heldRows(sentTo(sync))).toEqual(
    new Map(rows.map(({ id, name }) => [String(id), { unique_id: id, name }])),
  );
  expectSameRepeats(sentTo(sync));
  const { events } = await run(sync);
  expect(dataOf(events, "sync.planned")).toMatchObject({ source_record_updates: 0, batches: 0 });
}

/** Cuts the app database until this Egret has noticed, and opens it after `during`. */
async function withoutDatabase(during: () => Promise<unknown> = async () => undefined): Promise<void> {
  gates.database.cut();
  await gates.database.refused(3);
  await during();
  gates.database.open();
}

function hold(): void {
  answering = Promise.withResolvers();
}

describe("a run", () => {
  test("that is canceled while our Postgres is away ends canceled, and the next one sends the rest", async () => {
    hold();
    const running = run("canceled");
    await receiver.waitFor(() => sentTo("canceled").length === 2, 30_000);
    const begun = await eventsOf("canceled", (all) => all.some(({ type }) => type === "sync.triggered"));
    const { sync_run_id } = dataOf(begun, "sync.triggered") as { sync_run_id: number };
    await withoutDatabase(async () => {
      await ask("cancel", { run: sync_run_id, reason: "a test" });
      await eventsOf("canceled", (all) => all.some(({ type }) => type === "sync.cancel_requested"));
      answering.resolve();
    });
    const { events } = await running;
    expectLifecycle(events, "sync.failed");
    expect(dataOf(events, "sync.completed")).toMatchObject({ canceled: true, error_code: "SYNC_CANCELED" });
    const counted = dataOf(events, "sync.completed") as { records_updated: number };
    const { events: next } = await run("canceled");
    expectLifecycle(next, "sync.success");
    expect(dataOf(next, "sync.planned")).toMatchObject({
      source_record_updates: 16 - counted.records_updated,
    });
    await expectSettled("canceled");
  });

  test("that loses its session among the halves of a batch sends each row once to its end", async () => {
    refused.add("6");
    hold();
    const running = run("split", { timeoutMs: 90_000 });
    await receiver.waitFor(() => sentTo("split").length === 2, 30_000);
    // The refusal that cuts the batch in two meets a Postgres that is not there.
    await withoutDatabase(async () => answering.resolve());
    const { events } = await running;
    expectLifecycle(events, "sync.success");
    expect(dataOf(events, "sync.completed")).toMatchObject({
      records_processed: 16,
      records_updated: 15,
      records_failed: 1,
    });
    refused.clear();
    const { events: next } = await run("split");
    expect(dataOf(next, "sync.planned")).toMatchObject({ source_record_updates: 1 });
    await expectSettled("split");
  });

  test("whose fuse blows while our Postgres is away stops, and goes on when it is allowed to", async () => {
    for (let id = 1; id <= 24; id += 1) refused.add(String(id));
    hold();
    const running = run("fused", { timeoutMs: 90_000 });
    await receiver.waitFor(() => sentTo("fused").length === 2, 30_000);
    await withoutDatabase(async () => answering.resolve());
    const { events } = await running;
    expectLifecycle(events, "sync.failed");
    expect(dataOf(events, "sync.completed")).toMatchObject({ error_code: "REJECT_GUARD" });
    refused.clear();
    expectLifecycle((await run("fused")).events, "sync.success");
    await expectSettled("fused");
  });

  test("that waits for another begins once that has ended, though our Postgres was away meanwhile", async () => {
    hold();
    const first = run("queued");
    await receiver.waitFor(() => sentTo("queued").length === 2, 30_000);
    const second = run("queued");
    await eventsOf("queued", (events) => events.filter(({ type }) => type === "sync.triggered").length === 2);
    await withoutDatabase();
    answering.resolve();
    const [one, two] = await Promise.all([first, second]);
    expectLifecycle(one.events, "sync.success");
    expectLifecycle(two.events, "sync.success");
    expect(dataOf(two.events, "sync.planned")).toMatchObject({ source_record_updates: 0 });
    await expectSettled("queued");
  });
});

describe("beside runs", () => {
  test("a dry run that our Postgres and NATS are cut off from ends, and leaves nothing behind", async () => {
    gates.nats.cut();
    await gates.nats.refused(2);
    await ask("dry_run", { sync: "tried" });
    await withoutDatabase();
    gates.nats.open();
    const events = await eventsOf("tried", (all) => all.some(({ type }) => type === "trial.completed"));
    expect(events.filter(({ type }) => type === "trial.completed")).toHaveLength(1);
    expect(sentTo("tried")).toHaveLength(0);
    expect(dataOf((await run("tried")).events, "sync.planned")).toMatchObject({ source_record_updates: 16 });
  });

  test("a tick that was missed while our Postgres was away fires once when it is back", async () => {
    const syncId = await applied.id("sync", "ticking");
    const planned = () =>
      services.database.pool.query("select from egret.schedule_ticks where sync_id = $1 and is_planned", [
        syncId,
      ]);
    await expect.poll(async () => (await planned()).rowCount, { timeout: 30_000 }).toBe(1);
    await withoutDatabase(() =>
      services.database.pool.query(
        "update egret.schedule_ticks set next_tick_at = next_tick_at - interval '3 hours' where sync_id = $1",
        [syncId],
      ),
    );
    const events = await eventsOf("ticking", (all) => all.some(({ type }) => type === "sync.success"));
    const triggers = events.filter(({ type }) => type === "sync.triggered");
    expect(triggers).toHaveLength(1);
    expect(triggers[0]?.data).toMatchObject({ sync_trigger_reason: { ui_tag: "Schedule" } });
    await expectSettled("ticking");
  });

  test("an alert is raised once and resolved once, though NATS was away in between", async () => {
    const cutNats = async () => {
      gates.nats.cut();
      await gates.nats.refused(3);
      gates.nats.open();
    };
    const alerts = () => {
      const bodies = subscriber.requests.map(
        ({ body }) => JSON.parse(body.toString()) as { event: string; sync_id: number },
      );
      return bodies
        .filter(({ event, sync_id }) => event.startsWith("sync.alert.") && sync_id === syncId)
        .map(({ event }) => event);
    };
    const syncId = await applied.id("sync", "watched");
    await cutNats();
    await source.query("alter table watched rename to gone");
    await run("watched");
    await subscriber.waitFor(() => alerts().length >= 1, 60_000);
    await cutNats();
    await source.query("alter table gone rename to watched");
    await run("watched");
    await subscriber.waitFor(() => alerts().length >= 2, 60_000);
    await expectSettled("watched");
    expect(alerts()).toEqual(["sync.alert.raised", "sync.alert.resolved"]);
  });
});

test("a run whose source stays away fails as one that cannot be reached, and the next one sends everything", async () => {
  const { events } = await away;
  gates.far.open();
  expectLifecycle(events, "sync.failed");
  expect(dataOf(events, "sync.completed")).toMatchObject({
    error_code: "SOURCE_CONNECTION_FAILED",
    records_processed: null,
  });
  expectLifecycle((await run("away")).events, "sync.success");
  await expectSettled("away");
});
