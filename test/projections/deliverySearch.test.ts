import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AnyEvent } from "../../src/domain/event.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { getDelivery } from "../../src/projections/deliveries.ts";
import {
  countDeliveries,
  type DeliveryFilter,
  findDeliveries,
  searchDeliveries,
} from "../../src/projections/deliverySearch.ts";
import { projectBatch } from "../../src/projections/projectEvents.ts";
import { deliveryHistory, EPOCH_MS, stored } from "../support/events.ts";
import { testDatabase } from "../support/namespace.ts";

let database: OpenDatabase;
let sequence = 0;

async function project(events: readonly AnyEvent[], batchSize = events.length): Promise<void> {
  for (let start = 0; start < events.length; start += batchSize) {
    const batch = stored(events.slice(start, start + batchSize), sequence + 1);
    sequence += batch.length;
    const client = await database.pool.connect();
    await projectBatch(client, { stream: "deliveries", streamCreated: new Date(0), events: batch });
    client.release();
  }
}

/** Ten deliveries of two runs to two targets, three of them created in the same instant. */
const HISTORIES = Array.from({ length: 10 }, (_, index) => {
  const runId = index < 5 ? 7 : 8;
  return deliveryHistory({
    deliveryId: `${runId}-${index}-4`,
    targetKind: "webhook",
    targetId: index % 2 === 0 ? 4 : 5,
    runId,
    end: index % 3 === 0 ? "exhausted" : "delivered",
    startMs: EPOCH_MS + Math.floor(index / 3) * 1_000,
  });
});
const ids = (rows: readonly { id: string }[]) => rows.map(({ id }) => id);
const NEWEST_FIRST = [
  "8-9-4",
  "8-8-4",
  "8-7-4",
  "8-6-4",
  "8-5-4",
  "7-4-4",
  "7-3-4",
  "7-2-4",
  "7-1-4",
  "7-0-4",
];

beforeAll(async () => {
  database = openDatabase((await testDatabase({ migrated: true })).url);
  await project(HISTORIES.flat());
});
afterAll(() => database.close());

describe("a search for deliveries", () => {
  test("shows each once over pages of any size, in both directions, also when more come meanwhile", async () => {
    for (const limit of [1, 2, 3, 7, 50]) {
      for (const oldestFirst of [false, true]) {
        const seen: string[] = [];
        let after: { created_at: Date; id: string } | undefined;
        for (;;) {
          const page = await searchDeliveries(database.db, {
            after,
            limit,
            oldestFirst,
            targetKind: "webhook",
          });
          seen.push(...ids(page));
          after = page.at(-1);
          if (page.length < limit) break;
        }
        expect(seen).toEqual(oldestFirst ? NEWEST_FIRST.toReversed() : NEWEST_FIRST);
      }
    }
    const [first] = await searchDeliveries(database.db, { limit: 1, runId: 8 });
    await project(
      deliveryHistory({ deliveryId: "9-0-3", targetId: 3, runId: 9, startMs: EPOCH_MS + 60_000 }),
    );
    const rest = await searchDeliveries(database.db, { after: first, limit: 50 });
    expect(ids(rest)).toEqual(NEWEST_FIRST.slice(1));
  });

  const at = (seconds: number) => new Date(EPOCH_MS + seconds * 1_000);
  test.each<[string, DeliveryFilter, string[]]>([
    ["state", { states: ["dead"], targetKind: "webhook" }, ["8-9-4", "8-6-4", "7-3-4", "7-0-4"]],
    ["states", { states: ["pending", "retrying"] }, []],
    ["run", { runId: 7 }, NEWEST_FIRST.slice(5)],
    ["target", { targetKind: "webhook", targetId: 5 }, ["8-9-4", "8-7-4", "8-5-4", "7-3-4", "7-1-4"]],
    ["answer", { httpStatus: 500, runId: 8 }, ["8-9-4", "8-6-4"]],
    ["event", { event: "sync.started", runId: 7 }, NEWEST_FIRST.slice(5)],
    ["another event", { event: "sync.failed" }, []],
    ["sync", { syncId: 89 }, []],
    ["workspace", { workspaceId: 13 }, []],
    ["time", { since: at(1), until: at(2), targetKind: "webhook" }, ["8-5-4", "7-4-4", "7-3-4"]],
  ])("by %s finds and counts what fits", async (_name, filter, wanted) => {
    expect(ids(await searchDeliveries(database.db, { ...filter, limit: 50 }))).toEqual(wanted);
    expect(await countDeliveries(database.db, filter)).toBe(wanted.length);
  });

  test("by id finds the one, and nothing for what is no id", async () => {
    expect(ids(await findDeliveries(database.db, "8-6-4"))).toEqual(["8-6-4"]);
    for (const id of ["8-6", "8-6-4x", "x", "", "9".repeat(30), "' or 1=1"])
      expect(await findDeliveries(database.db, id)).toEqual([]);
  });
});

describe("a redelivered delivery", () => {
  const KEY = { targetKind: "webhook", targetId: 4 } as const;
  const history = (id: string, again: "open" | "delivered") =>
    deliveryHistory({ ...KEY, deliveryId: id, runId: 10, retries: 1, end: "exhausted", again });

  test("is pending again, keeps its attempts and what the last one left, and counts its redeliveries", async () => {
    await project(history("10-1-4", "open"));
    expect(await getDelivery(database.db, { ...KEY, id: "10-1-4" })).toMatchObject({
      state: "pending",
      version: 4,
      attempts: 2,
      http_status: 500,
      death_reason: null,
      ended_at: null,
      redeliveries: 1,
      attemptList: [{ attempt: 1 }, { attempt: 2 }],
    });
  });

  test("comes to the same row however its events fall into batches", async () => {
    const rows: object[] = [];
    for (const batchSize of [1, 2, 3, 4, 5]) {
      const id = `10-${batchSize + 10}-4`;
      await project(history(id, "delivered"), batchSize);
      const {
        id: _id,
        event_id: _event,
        attemptList = [],
        ...row
      } = (await getDelivery(database.db, { ...KEY, id })) ?? {};
      rows.push({ ...row, attempts: attemptList.map(({ attempt, http_status }) => [attempt, http_status]) });
    }
    expect(rows[0]).toMatchObject({ state: "delivered", version: 5, redeliveries: 1 });
    for (const row of rows) expect(row).toEqual(rows[0]);
  });
});
