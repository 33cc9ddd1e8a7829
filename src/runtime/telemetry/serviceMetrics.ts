/** What the services show at each scrape: how full the log is, what waits in it, how far behind the read models are. */
import { Gauge, type Registry } from "prom-client";
import { ENDPOINT_STATES } from "../../../machines/endpoint.ts";
import { ALERT_TYPES } from "../../domain/alertTypes.ts";
import type { LogConnection } from "../../log/connection.ts";
import { CONSUMERS, type StreamName } from "../../log/topology.ts";
import { countOpenAlerts } from "../../projections/alerts.ts";
import { readCheckpoint } from "../../projections/checkpoint.ts";
import type { OpenDatabase } from "../../projections/database.ts";
import { STREAMS } from "../../projections/eventSource.ts";

export interface MeasuredServices {
  connection: LogConnection;
  database: OpenDatabase;
  /** A reading serves all scrapes of this time; ms. */
  maxAgeMs?: number;
}

/** Several scrapers, or several processes behind one, cost the servers no more than one of them. */
const MAX_AGE_MS = 5_000;
/** A scrape gives the rest of its figures without a service that has not answered by then, ms. */
const PATIENCE_MS = 2_000;

interface StreamReading {
  messages: number;
  fill: number;
  lastSequence: number;
}

const TARGET_KINDS = ["webhook", "destination"] as const;

type StreamLabel = "commands" | "waiting" | StreamName;

/** Adds gauges that ask the services when they are scraped; a service that does not answer leaves its gauges out. */
export function registerServiceMetrics(registry: Registry, services: MeasuredServices): void {
  const { connection, database, maxAgeMs = MAX_AGE_MS } = services;
  const readings: Readings = {
    streams: shared(maxAgeMs, () => readStreams(connection)),
    consumers: shared(maxAgeMs, () => readConsumers(connection)),
    checkpoints: shared(maxAgeMs, () => readCheckpoints(database)),
    endpoints: shared(maxAgeMs, () => countEndpoints(database)),
    alerts: shared(maxAgeMs, () => countOpenAlerts(database.db)),
  };
  registerLogGauges(gaugesOf(registry), readings);
  registerReadModelGauges(gaugesOf(registry), readings);
}

interface Readings {
  streams(): ReturnType<typeof readStreams>;
  consumers(): ReturnType<typeof readConsumers>;
  checkpoints(): ReturnType<typeof readCheckpoints>;
  endpoints(): ReturnType<typeof countEndpoints>;
  alerts(): ReturnType<typeof countOpenAlerts>;
}

function registerLogGauges(gauge: ReturnType<typeof gaugesOf>, { streams, consumers }: Readings): void {
  gauge("stream_fill_ratio", {
    help: "Share of a stream's limit that is used; at 1 it refuses new events.",
    labelNames: ["stream"],
    async ask(fill) {
      for (const [stream, reading] of await streams()) fill.set({ stream }, reading.fill);
    },
  });
  gauge("consumer_lag_messages", {
    help: "Work items of a durable consumer: unread, or held by a worker.",
    labelNames: ["consumer", "state"],
    async ask(lag) {
      for (const [consumer, { unread, held }] of await consumers()) {
        lag.set({ consumer, state: "unread" }, unread);
        lag.set({ consumer, state: "held" }, held);
      }
    },
  });
  gauge("delivery_backlog", {
    help: "Deliveries that have not ended, by where they wait: first, retry, or waiting for their target.",
    labelNames: ["queue"],
    async ask(backlog) {
      const [read, waiting] = await Promise.all([consumers(), streams()]);
      const open = (name: string) => (read.get(name)?.unread ?? 0) + (read.get(name)?.held ?? 0);
      backlog.set({ queue: "first" }, open(CONSUMERS.firstAttempts));
      backlog.set({ queue: "retry" }, open(CONSUMERS.retries));
      backlog.set({ queue: "waiting" }, waiting.get("waiting")?.messages ?? 0);
    },
  });
}

function registerReadModelGauges(
  gauge: ReturnType<typeof gaugesOf>,
  { streams, checkpoints, endpoints, alerts }: Readings,
): void {
  gauge("projection_lag_events", {
    help: "Events in the log that the read models do not show yet.",
    labelNames: ["stream"],
    async ask(lag) {
      const [ends, shown] = await Promise.all([streams(), checkpoints()]);
      for (const [stream, sequence] of shown)
        lag.set({ stream }, Math.max(0, (ends.get(stream)?.lastSequence ?? 0) - sequence));
    },
  });
  gauge("endpoints", {
    help: "Targets that were ever in trouble, by the state of their circuit; the others are healthy and not counted.",
    labelNames: ["target", "state"],
    async ask(circuits) {
      const counts = await endpoints();
      for (const target of TARGET_KINDS)
        for (const state of ENDPOINT_STATES)
          circuits.set({ target, state }, counts.get(`${target} ${state}`) ?? 0);
    },
  });
  gauge("alerts_open", {
    help: "Alerts of syncs that are not resolved, by type.",
    labelNames: ["type"],
    async ask(open) {
      const counts = await alerts();
      for (const type of ALERT_TYPES)
        open.set({ type: type.replace("AlertConfiguration", "") }, counts.get(type) ?? 0);
    },
  });
}

interface Asked<L extends string> {
  help: string;
  labelNames: L[];
  ask(gauge: Gauge<L>): Promise<void>;
}

function gaugesOf(registry: Registry) {
  return <L extends string>(name: string, { help, labelNames, ask }: Asked<L>) =>
    new Gauge<L>({
      name: `egret_${name}`,
      help,
      labelNames,
      registers: [registry],
      async collect() {
        this.reset();
        await ask(this).catch(() => undefined);
      },
    });
}

async function readStreams({ jsm, topology }: LogConnection): Promise<Map<StreamLabel, StreamReading>> {
  // Short names, so that dashboards and rules do not depend on the installation's prefix.
  const names = {
    commands: topology.commandStream,
    ...topology.eventStreams,
    waiting: topology.waitingStream,
  } satisfies Record<StreamLabel, string>;
  const readings = Object.entries(names).map(async ([label, name]) => {
    const { config, state } = await jsm.streams.info(name);
    const fill = config.max_bytes > 0 ? state.bytes / config.max_bytes : 0;
    return [label as StreamLabel, { messages: state.messages, fill, lastSequence: state.last_seq }] as const;
  });
  return new Map(await Promise.all(readings));
}

async function readConsumers({ jsm, topology }: LogConnection) {
  const readings = topology.consumerConfigs().map(async ({ stream, config }) => {
    const { num_pending, num_ack_pending } = await jsm.consumers.info(stream, config.durable_name);
    return [config.durable_name, { unread: num_pending, held: num_ack_pending }] as const;
  });
  return new Map(await Promise.all(readings));
}

async function readCheckpoints({ pool }: OpenDatabase): Promise<Map<StreamName, number>> {
  const readings = STREAMS.map(
    async (stream) => [stream, (await readCheckpoint(pool, stream))?.lastSequence ?? 0] as const,
  );
  return new Map(await Promise.all(readings));
}

/** By kind and state; the table has one row for each target that was ever in trouble. */
async function countEndpoints({ pool }: OpenDatabase): Promise<Map<string, number>> {
  const { rows } = await pool.query<{ circuit: string; count: number }>(
    "select target_kind || ' ' || state as circuit, count(*)::integer as count from egret_read.endpoints group by 1",
  );
  return new Map(rows.map(({ circuit, count }) => [circuit, count]));
}

/** The same answer for all who ask within a time; a question that takes too long fails for those who wait. */
function shared<T>(maxAgeMs: number, ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | null = null;
  let askedAtMs = 0;
  return () => {
    const nowMs = performance.now();
    if (answer === null || nowMs - askedAtMs >= maxAgeMs) {
      askedAtMs = nowMs;
      answer = withPatience(ask);
      answer.catch(() => {
        answer = null;
      });
    }
    return answer;
  };
}

async function withPatience<T>(ask: () => Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error("no answer in time")), PATIENCE_MS);
  try {
    return await Promise.race([ask(), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
