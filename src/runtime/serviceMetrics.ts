/** What the services show at each scrape: how full the log is, what waits in it, how far behind the read models are. */
import { Gauge, type Registry } from "prom-client";
import type { LogConnection } from "../log/connection.ts";
import type { EventLog } from "../log/eventLog.ts";
import { parseTargetConsumer } from "../log/targetConsumers.ts";
import { readCheckpoint } from "../projections/checkpoint.ts";
import type { OpenDatabase } from "../projections/database.ts";
import { STREAMS } from "../projections/eventSource.ts";

export interface MeasuredServices {
  connection: LogConnection;
  log: EventLog;
  database: OpenDatabase;
}

/** Adds gauges that ask the services when they are scraped; a service that does not answer leaves its gauges out. */
export function registerServiceMetrics(registry: Registry, services: MeasuredServices): void {
  const { connection, log, database } = services;
  const { jsm, topology } = connection;
  const gauge = <L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    ask: (gauge: Gauge<L>) => Promise<void>,
  ) =>
    new Gauge<L>({
      name,
      help,
      labelNames,
      registers: [registry],
      async collect() {
        this.reset();
        await ask(this).catch(() => undefined);
      },
    });

  gauge(
    "egret_stream_fill_ratio",
    "Share of a stream's limit that is used; at 1 it refuses new events.",
    ["stream"],
    async (fill) => {
      for (const stream of [topology.commandStream, ...Object.values(topology.eventStreams)]) {
        const { config, state } = await jsm.streams.info(stream);
        fill.set({ stream }, state.bytes / config.max_bytes);
      }
    },
  );
  gauge(
    "egret_delivery_backlog",
    "Deliveries that have not ended: waiting, or waiting for a retry.",
    ["target"],
    async (backlog) => {
      const waiting = { webhook: 0, destination: 0 };
      for await (const { name, num_pending, num_ack_pending } of jsm.consumers.list(
        topology.eventStreams.deliveries,
      )) {
        const target = parseTargetConsumer(name);
        if (target !== null) waiting[target.kind] += num_pending + num_ack_pending;
      }
      for (const [target, count] of Object.entries(waiting)) backlog.set({ target }, count);
    },
  );
  gauge(
    "egret_projection_lag_events",
    "Events in the log that the read models do not show yet.",
    ["stream"],
    async (lag) => {
      for (const stream of STREAMS) {
        const { lastSequence } = await log.info(stream);
        const checkpoint = await readCheckpoint(database.pool, stream);
        lag.set({ stream }, lastSequence - (checkpoint?.lastSequence ?? 0));
      }
    },
  );
}
