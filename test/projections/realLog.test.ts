import { afterAll, expect, test, vi } from "vitest";
import { type Aggregate, aggregateName } from "../../src/domain/aggregate.ts";
import type { AnyEvent } from "../../src/domain/event.ts";
import { connectLog, ensureTopology } from "../../src/log/connection.ts";
import { EventLog, type Head, NEW_AGGREGATE } from "../../src/log/eventLog.ts";
import { follow } from "../../src/log/follow.ts";
import { DEFAULT_LOG_LIMITS, Topology } from "../../src/log/topology.ts";
import { openDatabase } from "../../src/projections/database.ts";
import type { EventSource } from "../../src/projections/eventSource.ts";
import { startProjector } from "../../src/projections/projector.ts";
import { rebuildReadModels } from "../../src/projections/rebuild.ts";
import { natsUrl, streamPrefix, testDatabase } from "../support/namespace.ts";
import { dump } from "./dump.ts";
import { historyOfBothStreams } from "./histories.ts";

const { url } = await testDatabase({ migrated: true });
const database = openDatabase(url);
const connection = await connectLog(natsUrl(), new Topology(streamPrefix()));
await ensureTopology(connection, { ...DEFAULT_LOG_LIMITS, maxBytes: 32 * 1024 ** 2 });
const log = new EventLog(connection);

afterAll(async () => {
  log.close();
  await connection.close();
  await database.close();
});

function aggregateOf({ data, subject }: AnyEvent): Aggregate {
  const workspaceId = data.workspace_id;
  if ("target_id" in data && !("delivery_id" in data)) {
    return { kind: "endpoint", workspaceId, targetKind: data.target_kind, targetId: data.target_id };
  }
  if ("delivery_id" in data) {
    const { target_kind: targetKind, target_id: targetId, delivery_id: deliveryId } = data;
    return { kind: "delivery", workspaceId, targetKind, targetId, deliveryId };
  }
  if ("object_id" in data)
    return { kind: "config", workspaceId, objectKind: data.kind, objectId: data.object_id };
  if ("subject" in data) return { kind: "command", workspaceId, commandId: data.command_id };
  if ("alert_id" in data) return { kind: "alert", workspaceId, syncId: data.sync_id, alertId: data.alert_id };
  if ("replay_id" in data) return { kind: "replay", workspaceId, replayId: data.replay_id };
  return { kind: "run", workspaceId, syncId: data.sync_id, runId: Number(subject.split("/")[1]) };
}

/** Appends histories as writers would, and returns the last sequence. */
async function appendAll(events: readonly AnyEvent[]): Promise<number> {
  const heads = new Map<string, Head>();
  let sequence = 0;
  for (const event of events) {
    const aggregate = aggregateOf(event);
    const { id, type, machine, state, data } = event;
    const draft = { id, type, machine, state, data, time: new Date(event.time) };
    const stored = await log.append(aggregate, draft, heads.get(aggregateName(aggregate)) ?? NEW_AGGREGATE);
    sequence = stored.sequence;
    heads.set(aggregateName(aggregate), { version: stored.event.version, sequence });
  }
  return sequence;
}

test("projects the real log as it grows, and rebuilds it to identical rows (I1)", async () => {
  const source: EventSource = {
    follow: (stream, options) => follow(connection, stream, options),
    info: (stream) => log.info(stream),
  };
  const quiet = { info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  const projector = startProjector({ source, database, log: quiet, maxBatch: 7 });
  const { runs, deliveries } = historyOfBothStreams();
  const lastOfRuns = await appendAll(runs);
  const lastOfDeliveries = await appendAll(deliveries);
  expect(await projector.waitFor("runs", lastOfRuns, 20_000)).toBe(true);
  expect(await projector.waitFor("deliveries", lastOfDeliveries, 20_000)).toBe(true);
  const rows = await dump(database.pool);
  expect(rows["runs"]).toHaveLength(6);
  const { events } = await rebuildReadModels({ source, database });
  expect(events).toBe(runs.length + deliveries.length);
  expect(await dump(database.pool)).toEqual(rows);
  await projector.close();
  expect(quiet.error).not.toHaveBeenCalled();
});
