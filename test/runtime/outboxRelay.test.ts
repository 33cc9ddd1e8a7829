import { sql } from "kysely";
import { v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ConfigAggregate } from "../../src/domain/aggregate.ts";
import { Unavailable } from "../../src/domain/errors.ts";
import { connectLog, ensureTopology, type LogConnection } from "../../src/log/connection.ts";
import { EventLog } from "../../src/log/eventLog.ts";
import { DEFAULT_LOG_LIMITS, Topology } from "../../src/log/topology.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { type ConfigLog, relayOutbox, startOutboxRelay } from "../../src/runtime/outboxRelay.ts";
import { natsUrl, streamPrefix, testDatabase } from "../support/namespace.ts";

let database: OpenDatabase;
let connection: LogConnection;
let log: EventLog;
let nextId = 1;

beforeAll(async () => {
  database = openDatabase((await testDatabase({ migrated: true })).url);
  connection = await connectLog(natsUrl(), new Topology(streamPrefix()));
  await ensureTopology(connection, { ...DEFAULT_LOG_LIMITS, maxBytes: 10_485_760 });
  log = new EventLog(connection);
});
afterAll(async () => {
  log.close();
  const { topology, jsm } = connection;
  for (const stream of [...Object.values(topology.eventStreams), topology.commandStream])
    await jsm.streams.delete(stream);
  await connection.close();
  await database.close();
});
beforeEach(async () => {
  await sql`truncate egret.outbox`.execute(database.db);
  nextId += 1;
});

type Change = "created" | "updated" | "deleted";

/** Puts a change of this test's own webhook into the outbox. */
async function put(change: Change, version: number, objectId = nextId): Promise<string> {
  const event_id = uuidv7();
  const data = {
    workspace_id: 1,
    kind: "webhook",
    object_id: objectId,
    name: "pager",
    actor: "test",
    settings: { version },
  };
  const ids = { event_id, workspace_id: 1, kind: "webhook", object_id: objectId };
  await database.db
    .insertInto("egret.outbox")
    .values({ ...ids, change, version, data: JSON.stringify(data) })
    .execute();
  return event_id;
}

async function history(objectId = nextId) {
  const aggregate: ConfigAggregate = { kind: "config", workspaceId: 1, objectKind: "webhook", objectId };
  return (await log.load(aggregate)).map(({ event }) => event);
}

async function waiting(): Promise<number> {
  return (await database.db.selectFrom("egret.outbox").select("id").execute()).length;
}

/** The real log, of which one method fails now and then. */
function logWith(append: ConfigLog["append"]): ConfigLog {
  return { last: (aggregate) => log.last(aggregate), load: (aggregate) => log.load(aggregate), append };
}

describe("the outbox relay", () => {
  test("appends each change in order, with its id, time, version and data, and empties the outbox", async () => {
    const ids = [await put("created", 1), await put("updated", 2), await put("deleted", 3)];
    const rows = await database.db.selectFrom("egret.outbox").select("occurred_at").orderBy("id").execute();
    expect(await relayOutbox(database.db, log)).toBe(3);
    expect(await waiting()).toBe(0);
    const events = await history();
    expect(events.map(({ type, version, id, state }) => ({ type, version, id, state }))).toEqual([
      { type: "config.created", version: 1, id: ids[0], state: "created" },
      { type: "config.updated", version: 2, id: ids[1], state: "updated" },
      { type: "config.deleted", version: 3, id: ids[2], state: "deleted" },
    ]);
    expect(events.map(({ time }) => time)).toEqual(rows.map(({ occurred_at }) => occurred_at.toISOString()));
    expect(events[1]!.data).toMatchObject({ name: "pager", actor: "test", settings: { version: 2 } });
    expect(await relayOutbox(database.db, log)).toBe(0);
  });

  test("knows after a crash what it has told already, also when later changes were told since", async () => {
    const first = await put("created", 1);
    await put("updated", 2);
    await relayOutbox(database.db, log);
    const row = {
      event_id: first,
      workspace_id: 1,
      kind: "webhook",
      object_id: nextId,
      change: "created" as const,
      version: 1,
    };
    await database.db
      .insertInto("egret.outbox")
      .values({ ...row, data: "{}" })
      .execute();
    expect(await relayOutbox(database.db, log)).toBe(1);
    expect(await waiting()).toBe(0);
    expect((await history()).map(({ version }) => version)).toEqual([1, 2]);
  });

  test("tells each change once, however many relay at once", async () => {
    for (let version = 1; version <= 20; version += 1)
      await put(version === 1 ? "created" : "updated", version);
    const counts = await Promise.all(Array.from({ length: 4 }, () => relayOutbox(database.db, log)));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(20);
    expect((await history()).map(({ version }) => version)).toEqual(
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
  });

  test("keeps what could not be told, and what comes after it", async () => {
    await put("created", 1);
    await put("updated", 2);
    await put("updated", 3);
    const failing = logWith((aggregate, draft, head) => {
      if (head.version === 1) throw new Unavailable("NATS is away");
      return log.append(aggregate, draft, head);
    });
    await expect(relayOutbox(database.db, failing)).rejects.toThrow("NATS is away");
    expect(await waiting()).toBe(2);
    expect(await relayOutbox(database.db, log)).toBe(2);
    expect((await history()).map(({ version }) => version)).toEqual([1, 2, 3]);
  });

  test("stops at a gap instead of telling a history that did not happen", async () => {
    await put("updated", 5);
    await expect(relayOutbox(database.db, log)).rejects.toThrow(
      `webhook ${nextId} is at version 0 in the log, but change 5 waits in the outbox`,
    );
    expect(await waiting()).toBe(1);
    expect(await history()).toEqual([]);
  });

  test("runs until it is stopped, reports what goes wrong and looks at once when it is poked", async () => {
    const errors: string[] = [];
    let isAway = true;
    const failed = Promise.withResolvers<void>();
    const told = Promise.withResolvers<void>();
    const flaky = logWith(async (aggregate, draft, head) => {
      if (isAway) throw new Unavailable("NATS is away");
      const stored = await log.append(aggregate, draft, head);
      told.resolve();
      return stored;
    });
    await put("created", 1);
    const onError = (error: Error): void => {
      errors.push(error.message);
      failed.resolve();
    };
    // An hour between looks: only the first look and a poke can bring anything about.
    const relay = startOutboxRelay({ db: database.db, log: flaky, intervalMs: 3_600_000, onError });
    await failed.promise;
    isAway = false;
    relay.poke();
    await told.promise;
    await relay.stop();
    expect(errors).toEqual(["NATS is away"]);
    expect(await waiting()).toBe(0);
    expect(await history()).toHaveLength(1);
  });
});
