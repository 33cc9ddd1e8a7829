/** A whole run of a sync over a million rows of which one in a hundred changed, against the comparison alone done by hand. */
import { randomUUID } from "node:crypto";
import type { EventData } from "../src/domain/event.ts";
import { publishCommand } from "../src/log/commands.ts";
import { connectLog, type LogConnection } from "../src/log/connection.ts";
import { follow } from "../src/log/follow.ts";
import { Topology } from "../src/log/topology.ts";
import { type BenchEgret, startBenchEgret } from "./egret.ts";
import { type Measurement, measured } from "./measurement.ts";
import { alternate } from "./median.ts";
import type { BenchServers } from "./servers.ts";
import { expectAtSink, startSink } from "./sink.ts";
import { openWarehouse } from "./warehouse.ts";

const ROWS = 1_000_000;
const BATCH_SIZE = 1_000;
const ROUNDS = 3;
const MEMORY_LIMIT_BYTES = 400e6;
const PATIENCE_MS = 90_000;

/** Seconds from the trigger command to sync.success, and the most memory that our process took, first run included. */
export async function benchSync(servers: BenchServers): Promise<Measurement[]> {
  const sink = await startSink();
  const urls = { source: await servers.createDatabase(), target: await servers.createDatabase() };
  const warehouse = await openWarehouse(urls, ROWS);
  const egret = await startBenchEgret(servers, configuration(urls.source, sink.url));
  const connection = await connectLog(servers.natsUrl, new Topology(egret.streamPrefix));
  try {
    const first = await runSync(connection, ROWS);
    await expectAtSink(sink, ROWS / BATCH_SIZE);
    const seconds = await alternate(ROUNDS, {
      hand: async (round) => {
        const changed = await warehouse.change(round);
        const { ms, differing } = await warehouse.compareByHand();
        if (differing !== changed) throw new Error(`by hand found ${differing} rows of ${changed}`);
        return ms / 1000;
      },
      ours: async (round) => {
        // Both compare with the state after their own last look; whoever comes second in a round finds one change.
        const changed = await warehouse.change(round);
        const ms = await runSync(connection, changed);
        await expectAtSink(sink, Math.ceil(changed / BATCH_SIZE));
        return ms / 1000;
      },
    });
    return lines({ first, seconds, peakBytes: await egret.peakBytes() });
  } finally {
    await connection.close();
    await egret.close();
    await warehouse.close();
    await sink.close();
  }
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
