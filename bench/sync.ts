/** A whole run of a sync over a million rows of which one in a hundred changed, against the comparison alone done by hand. */
import { randomUUID } from "node:crypto";
import type { EventData } from "../src/domain/event.ts";
import { stateTable } from "../src/engine/scratch.ts";
import { publishCommand } from "../src/log/commands.ts";
import { connectLog, type LogConnection } from "../src/log/connection.ts";
import { follow } from "../src/log/follow.ts";
import { Topology } from "../src/log/topology.ts";
import { Releases } from "../src/releases.ts";
import { type ByHand, openByHand } from "./byHand.ts";
import type { BenchContext } from "./context.ts";
import { AT_WORK, openBenchEgret } from "./egret.ts";
import { type Measurement, measured } from "./measurement.ts";
import { alternate } from "./median.ts";
import { expectAtSink, type Sink, startSink } from "./sink.ts";
import { openWarehouse, type Warehouse } from "./warehouse.ts";

const ROWS = 1_000_000;
const QUICK_ROWS = 200_000;
/** The first run sends so many; sending all of them would take most of the time that the whole bench has. */
const FIRST_ROWS = 50_000;
const BATCH_SIZE = 1_000;
const ROUNDS = 3;
const MEMORY_LIMIT_BYTES = 400e6;
const PATIENCE_MS = 90_000;

interface Contest {
  warehouse: Warehouse;
  byHand: ByHand;
  connection: LogConnection;
  sink: Sink;
}
type Seconds = Record<"hand" | "ours", number>;

/** Seconds from the trigger command to sync.success, and the most memory that our process took, first run included. */
export async function benchSync({ servers, isQuick }: BenchContext): Promise<Measurement[]> {
  const rows = isQuick ? QUICK_ROWS : ROWS;
  const releases = new Releases();
  try {
    const sourceUrl = await servers.createDatabase();
    const sink = await startSink();
    releases.push(() => sink.close());
    const warehouse = await openWarehouse(sourceUrl);
    releases.push(() => warehouse.close());
    await warehouse.growTo(FIRST_ROWS);
    const egret = await openBenchEgret(servers, configuration(sourceUrl, sink.url));
    const egretProcess = await egret.openProcess();
    releases.push(() => egretProcess.close());
    await egretProcess.start(AT_WORK);
    const connection = await connectLog(servers.natsUrl, new Topology(egret.streamPrefix));
    releases.push(() => connection.close());
    const first = await runSync(connection, FIRST_ROWS);
    await expectAtSink(sink, FIRST_ROWS / BATCH_SIZE);
    const { id, keysSql } = egret.syncs[0] ?? { id: 0, keysSql: "" };
    const { databaseUrl } = egret;
    const byHand = await openByHand({ sourceUrl, databaseUrl, keysSql, stateTable: stateTable(id) });
    releases.push(() => byHand.close());
    await warehouse.growTo(rows);
    await byHand.fillState(FIRST_ROWS);
    const seconds = await compareRuns({ warehouse, byHand, connection, sink }, isQuick ? 1 : ROUNDS);
    return lines({ first, seconds, peakBytes: await egretProcess.peakBytes() });
  } finally {
    await releases.release();
  }
}

function compareRuns({ warehouse, byHand, connection, sink }: Contest, rounds: number): Promise<Seconds> {
  let changed = 0;
  const contenders = {
    hand: async () => {
      const { ms, differing } = await byHand.compare();
      if (differing !== changed) throw new Error(`by hand found ${differing} rows of ${changed}`);
      return ms / 1000;
    },
    ours: async () => {
      const ms = await runSync(connection, changed);
      await expectAtSink(sink, Math.ceil(changed / BATCH_SIZE));
      return ms / 1000;
    },
  };
  return alternate(rounds, contenders, async (round) => {
    changed = await warehouse.change(round);
  });
}

function configuration(sourceUrl: string, sinkUrl: string): string {
  return `
workspace: bench
sources:
  warehouse: { type: postgres, url: "${sourceUrl}" }
destinations:
  sink: { type: webhook, url: "${sinkUrl}/rows", batch_size: ${BATCH_SIZE}, rate_limit_per_second: null }
syncs:
  customers: { source: warehouse, table: public.customers, destination: sink, key: id }
`;
}

/** Triggers the sync and waits for its end; milliseconds. @throws unless it succeeded with so many rows. */
async function runSync(connection: LogConnection, rows: number): Promise<number> {
  const id = randomUUID();
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const stream = await connection.jsm.streams.info(connection.topology.eventStreams.runs);
  const fromSequence = stream.state.last_seq + 1;
  const started = performance.now();
  const command = { workspaceId: 1, verb: "trigger" as const, payload: { sync: "customers" }, id };
  await publishCommand(connection, command);
  let loaded: EventData<"sync.loaded"> | null = null;
  for await (const batch of follow(connection, "runs", { fromSequence, maxBatch: 100, signal })) {
    for (const { event } of batch) {
      if (event.type === "sync.loaded") loaded = event.data;
      if (event.type === "sync.failed" || event.type === "command.refused") {
        throw new Error(`the run failed: ${JSON.stringify(event.data)}`);
      }
      if (event.type !== "sync.success") continue;
      const ms = performance.now() - started;
      if (loaded?.records_updated === rows) return ms;
      throw new Error(`the run sent ${loaded?.records_updated ?? 0} rows, not ${rows}`);
    }
  }
  throw new Error(`the run did not end within ${PATIENCE_MS / 1000} s`);
}

function lines(found: { first: number; seconds: Seconds; peakBytes: number }): Measurement[] {
  const { first, seconds, peakBytes } = found;
  return [
    measured({
      name: "sync",
      value: seconds.ours,
      unit: "s",
      kind: "cost",
      reference: seconds.hand,
      bar: 0.5,
      against: "COPY, hash, FULL JOIN by hand; ratio = by hand / ours: 0.50 is twice its time",
    }),
    measured({
      name: "sync-memory",
      value: peakBytes / 1e6,
      unit: "MB",
      kind: "cost",
      reference: MEMORY_LIMIT_BYTES / 1e6,
      bar: 1,
      against: "limit for our process at its peak, first run included; ratio = limit / peak",
    }),
    measured({
      name: "first-sync",
      value: FIRST_ROWS / (first / 1000),
      unit: "rows/s",
      kind: "rate",
      against: `nothing: one run that sends all of ${FIRST_ROWS.toLocaleString("en-US")} rows`,
    }),
  ];
}
