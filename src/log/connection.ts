/** Opens the log: connects, checks the server, makes sure that streams and consumers are what we rely on. */
import { JetStreamApiError, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "nats";
import { AppError, toError, Unavailable } from "../domain/errors.ts";
import { type LogLimits, type Topology } from "./topology.ts";

/** Oldest server whose features we use: message schedules and atomic expectations of 2.12. */
export const MIN_NATS_VERSION = "2.12.0";

const STREAM_NOT_FOUND = 10059;
const CONSUMER_NOT_FOUND = 10014;
const NO_STORAGE = 10047;

/** A connection to NATS with what the log needs of it. */
export interface LogConnection {
  nc: NatsConnection;
  jsm: JetStreamManager;
  js: ReturnType<typeof jetstream>;
  topology: Topology;
  close(): Promise<void>;
}

/**
 * Connects and checks the server's version and JetStream; creates nothing.
 * @throws Unavailable when no server answers, AppError NATS_UNFIT when it is too old or without JetStream.
 */
export async function connectLog(url: string, topology: Topology, name = "egret"): Promise<LogConnection> {
  const nc = await connect({
    servers: url.split(",").map((server) => server.trim()),
    name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    // A server that vanished without a word is noticed within half a minute; the client's default takes six.
    pingInterval: 10_000,
    maxPingOut: 2,
    waitOnFirstConnect: false,
  }).catch((cause: unknown) => {
    throw new Unavailable(`no NATS server answers at ${hostOf(url)}: ${toError(cause).message}`, { cause });
  });
  try {
    checkVersion(nc.info?.version ?? "0");
    const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 10_000 });
    await jsm.getAccountInfo().catch((cause: unknown) => {
      throw new AppError(
        "NATS_UNFIT",
        `the NATS server at ${hostOf(url)} has no JetStream: start it with -js`,
        {
          cause,
        },
      );
    });
    const js = jetstream(nc, { timeout: 10_000 });
    return { nc, jsm, js, topology, close: () => nc.close() };
  } catch (error) {
    await nc.close();
    throw error;
  }
}

function hostOf(url: string): string {
  const hosts = url.split(",").map((server) =>
    server
      .trim()
      .replace(/^.*@/, "")
      .replace(/^\w+:\/\//, ""),
  );
  return hosts.join(", ");
}

function checkVersion(version: string): void {
  const parts = (text: string) => text.split(/[.-]/).slice(0, 3).map(Number);
  const have = parts(version);
  const need = parts(MIN_NATS_VERSION);
  const difference = need.map((part, index) => (have[index] ?? 0) - part).find((delta) => delta !== 0) ?? 0;
  if (difference < 0) {
    throw new AppError(
      "NATS_UNFIT",
      `nats-server ${version} is too old: Egret needs ${MIN_NATS_VERSION} or newer`,
    );
  }
}

/**
 * Creates streams and consumers that are missing, updates limits that changed, and checks that the server took
 * every setting: an old server ignores unknown ones without a word.
 */
export async function ensureTopology({ jsm, topology }: LogConnection, limits: LogLimits): Promise<void> {
  for (const config of topology.streamConfigs(limits)) {
    const existing = await jsm.streams.info(config.name).catch(absentWhen(STREAM_NOT_FOUND));
    const info =
      existing === null
        ? await jsm.streams.add(config).catch(explainNoRoom(limits.maxBytes))
        : sameSettings(config, existing.config)
          ? existing
          : await jsm.streams.update(config.name, config);
    requireEcho(`stream ${config.name}`, config, info.config);
  }
  for (const { stream, config } of topology.consumerConfigs()) {
    const existing = await jsm.consumers
      .info(stream, config.durable_name)
      .catch(absentWhen(CONSUMER_NOT_FOUND));
    if (existing !== null && sameSettings(config, existing.config)) continue;
    const info = await jsm.consumers.add(stream, config);
    requireEcho(`consumer ${config.durable_name}`, config, info.config);
  }
}

function explainNoRoom(maxBytes: number): (error: unknown) => never {
  return (cause) => {
    if (cause instanceof JetStreamApiError && cause.code === NO_STORAGE) {
      const text = `the NATS server has no room for event streams of ${maxBytes} bytes each`;
      throw new AppError("NATS_UNFIT", `${text}: set EGRET_STREAM_MAX_BYTES lower, or free disk space`, {
        cause,
      });
    }
    throw cause;
  };
}

function absentWhen(code: number): (error: unknown) => null {
  return (error) => {
    if (error instanceof JetStreamApiError && error.code === code) return null;
    throw error;
  };
}

function differing(wanted: object, actual: object): string[] {
  return Object.entries(wanted)
    .filter(
      ([key, value]) => JSON.stringify((actual as Record<string, unknown>)[key]) !== JSON.stringify(value),
    )
    .map(([key]) => key);
}

function sameSettings(wanted: object, actual: object): boolean {
  return differing(wanted, actual).length === 0;
}

function requireEcho(what: string, wanted: object, actual: object): void {
  const ignored = differing(wanted, actual);
  if (ignored.length > 0) {
    throw new AppError(
      "NATS_UNFIT",
      `the NATS server did not take ${ignored.join(", ")} of ${what}: is it too old?`,
    );
  }
}
