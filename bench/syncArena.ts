/** What the benchmarks of syncs share: a source, a sink, one process of Egret at work, and the same by hand. */
import { randomUUID } from "node:crypto";
import path from "node:path";
import type { EventData } from "../src/domain/event.ts";
import { stateTable } from "../src/engine/scratch.ts";
import { publishCommand } from "../src/log/commands.ts";
import { connectLog, type LogConnection } from "../src/log/connection.ts";
import { follow } from "../src/log/follow.ts";
import { Topology } from "../src/log/topology.ts";
import type { Releases } from "../src/releases.ts";
import { withActivity } from "./activity.ts";
import { type ByHand, openByHand } from "./byHand.ts";
import type { BenchContext } from "./context.ts";
import { AT_WORK, type BenchEgret, type EgretProcess, openBenchEgret } from "./egret.ts";
import { expectAtSink, type Sink, startSink } from "./sink.ts";
import { openWarehouse, type Warehouse } from "./warehouse.ts";

/** A sync of a table to the sink, by its name. */
export interface BenchSync {
  table: string;
  batchSize: number;
  /** Requests at once; the default of Egret when left out. */
  parallel?: number;
}

/** What is configured. */
export interface ArenaOptions {
  syncs: Record<string, BenchSync>;
  /** Lifecycle webhooks at the sink. */
  hooks?: number;
}

/** An installation with its source. */
export interface SyncArena {
  egret: BenchEgret;
  /** At work in all roles but the API. */
  egretProcess: EgretProcess;
  sink: Sink;
  /** Tables by their names. */
  tables: Map<string, Warehouse>;
  /** Seconds from the trigger command to sync.success. @throws unless just those rows came, once each. */
  run(sync: string, rows: number): Promise<number>;
  /** How long the phases of the last run took, for people. */
  phases(): string;
  /** The same sync by hand, its state empty. */
  byHand(sync: string): Promise<ByHand>;
  /** Seconds of a whole run by hand. @throws unless just those rows came, once each. */
  runByHand(sync: string, hand: ByHand, rows: number): Promise<number>;
}

/** Requests at once by hand where the sync does not say. Source: the default of a destination, behaviour.md 5.1. */
const PARALLEL = 4;
const PATIENCE_MS = 200_000;

/** Opens all of it; each part pushes its own end. */
export async function openSyncArena(
  { servers, profileDir }: Pick<BenchContext, "servers" | "profileDir">,
  releases: Releases,
  { syncs, hooks = 0 }: ArenaOptions,
): Promise<SyncArena> {
  const sourceUrl = await servers.createDatabase();
  const sink = await startSink();
  releases.push(() => sink.close());
  const tables = new Map<string, Warehouse>();
  for (const table of new Set(Object.values(syncs).map((sync) => sync.table))) {
    const warehouse = await openWarehouse(sourceUrl, table);
    releases.push(() => warehouse.close());
    tables.set(table, warehouse);
  }
  const egret = await openBenchEgret(servers, configuration({ syncs, hooks, sourceUrl, sinkUrl: sink.url }));
  const egretProcess = await egret.openProcess();
  releases.push(() => egretProcess.close());
  await egretProcess.start(AT_WORK);
  const connection = await connectLog(servers.natsUrl, new Topology(egret.streamPrefix));
  releases.push(() => connection.close());
  const requestsOf = (sync: string, rows: number) => Math.ceil(rows / (syncs[sync]?.batchSize ?? 1));
  let runs = 0;
  let phases = "";
  return {
    egret,
    egretProcess,
    sink,
    tables,
    async run(sync, rows) {
      runs += 1;
      const work = () => runSync(connection, sync, rows);
      const file = path.join(profileDir ?? "", `${sync}-${runs}`);
      const profiled = () => egretProcess.profiled(`${file}.cpuprofile`, work);
      const { databaseUrl } = egret;
      const run =
        profileDir === null
          ? await work()
          : await withActivity({ databaseUrl, file: `${file}.activity` }, profiled);
      phases = run.phases;
      await expectAtSink(sink, requestsOf(sync, rows));
      return run.ms / 1000;
    },
    phases: () => phases,
    async byHand(sync) {
      const { id, ...queries } = egret.syncs.get(sync) ?? { id: 0, keysSql: "", recordsSql: "" };
      const table = syncs[sync]?.table ?? "";
      const { databaseUrl } = egret;
      const hand = await openByHand({
        ...queries,
        sourceUrl,
        databaseUrl,
        stateTable: stateTable(id),
        table,
        schema: `by_hand_${id}`,
      });
      releases.push(() => hand.close());
      return hand;
    },
    async runByHand(sync, hand, rows) {
      const { batchSize = 1, parallel = PARALLEL } = syncs[sync] ?? {};
      const found = await hand.run({ url: `${sink.url}/rows`, batchSize, parallel });
      if (found.rows !== rows) throw new Error(`by hand found ${found.rows} rows of ${rows}`);
      await expectAtSink(sink, requestsOf(sync, rows));
      return found.ms / 1000;
    },
  };
}

function configuration(options: Required<ArenaOptions> & { sourceUrl: string; sinkUrl: string }): string {
  const { syncs, hooks, sourceUrl, sinkUrl } = options;
  const destinations = Object.entries(syncs).map(([name, { batchSize, parallel = PARALLEL }]) => {
    const settings = `batch_size: ${batchSize}, parallel_requests: ${parallel}, rate_limit_per_second: null`;
    return `  ${name}: { type: webhook, url: "${sinkUrl}/rows", ${settings} }\n`;
  });
  const lines = Object.entries(syncs).map(
    ([name, { table }]) =>
      `  ${name}: { source: warehouse, table: public.${table}, destination: ${name}, key: id }\n`,
  );
  const webhooks = Array.from(
    { length: hooks },
    (_, index) => `  hook${index}: { endpoint: "${sinkUrl}/hook", events: [sync.failed] }\n`,
  );
  return `
workspace: bench
sources:
  warehouse: { type: postgres, url: "${sourceUrl}" }
destinations:
${destinations.join("")}syncs:
${lines.join("")}${hooks === 0 ? "" : `webhooks:\n${webhooks.join("")}`}`;
}

/** Triggers the sync and waits for its end. @throws unless it succeeded with so many rows. */
async function runSync(
  connection: LogConnection,
  sync: string,
  rows: number,
): Promise<{ ms: number; phases: string }> {
  const id = randomUUID();
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const stream = await connection.jsm.streams.info(connection.topology.eventStreams.runs);
  const fromSequence = stream.state.last_seq + 1;
  const started = performance.now();
  await publishCommand(connection, { workspaceId: 1, verb: "trigger", payload: { sync }, id });
  let loaded: EventData<"sync.loaded"> | null = null;
  const steps: string[] = [];
  let atMs = Date.now();
  for await (const batch of follow(connection, "runs", { fromSequence, maxBatch: 100, signal })) {
    for (const { event } of batch) {
      const eventMs = Date.parse(event.time);
      steps.push(`${event.type.slice("sync.".length)} ${((eventMs - atMs) / 1000).toFixed(2)}`);
      atMs = eventMs;
      if (event.type === "sync.loaded") loaded = event.data;
      if (event.type === "sync.failed" || event.type === "command.refused") {
        throw new Error(`the run failed: ${JSON.stringify(event.data)}`);
      }
      if (event.type !== "sync.success") continue;
      const ms = performance.now() - started;
      if (loaded?.records_updated === rows) return { ms, phases: steps.join(", ") };
      throw new Error(`the run sent ${loaded?.records_updated ?? 0} rows, not ${rows}`);
    }
  }
  throw new Error(`the run did not end within ${PATIENCE_MS / 1000} s`);
}
