/** How commands find and open Postgres and NATS: the environment first, else a development server that runs here. */
import { type Config, readConfig } from "../config.ts";
import { readDevelopmentServices } from "../embedded/services.ts";
import { connectLog, type LogConnection } from "../log/connection.ts";
import { EventLog } from "../log/eventLog.ts";
import { type LogLimits, Topology } from "../log/topology.ts";
import { type OpenDatabase, openDatabase, pingDatabase } from "../projections/database.ts";
import type { OutboundSettings } from "../security/outboundPools.ts";
import { openSecretBox, type SecretBox } from "../security/secretBox.ts";
import { NotConfigured } from "./failures.ts";
import type { ReachOptions } from "./reachOptions.ts";

export { type ReachOptions, withReachOptions } from "./reachOptions.ts";

/** Where the services are, as far as anything says so. */
export interface Reach {
  config: Config;
  databaseUrl: string | null;
  natsUrl: string | null;
  secretKeys: readonly string[];
  /** What targets may be: on a development server's machine, itself too. */
  outbound: OutboundSettings;
}

/** A development server and its receivers are on one machine: http and loopback are what one wants there. */
export function outboundOf(config: Config, isDevelopment: boolean): OutboundSettings {
  const { outboundAllow, outboundProxy, outboundCaFile } = config;
  return { allowHttp: config.allowHttp || isDevelopment, outboundAllow, outboundProxy, outboundCaFile };
}

/** The settings, with what the command line says about the folder. */
export function configOf(options: ReachOptions): Config {
  const config = readConfig();
  return options.dir === undefined ? config : { ...config, dir: options.dir };
}

/**
 * Finds the services: those of a development server in a folder that the command line names, else what the
 * environment names, and for the rest a development server in the usual folder.
 */
export async function findServices(options: ReachOptions): Promise<Reach> {
  const config = configOf(options);
  const isComplete = config.databaseUrl !== null && config.natsUrl !== null && config.secretKeys.length > 0;
  const running =
    isComplete && options.dir === undefined ? undefined : await readDevelopmentServices(config.dir);
  const own = running === undefined ? null : { ...running, secretKeys: [running.secretKey] };
  const outbound = outboundOf(config, own !== null);
  if (options.dir !== undefined && own !== null) return { config, outbound, ...own };
  return {
    config,
    outbound,
    databaseUrl: config.databaseUrl ?? own?.databaseUrl ?? null,
    natsUrl: config.natsUrl ?? own?.natsUrl ?? null,
    secretKeys: config.secretKeys.length > 0 ? config.secretKeys : (own?.secretKeys ?? []),
  };
}

function notConfigured(reach: Reach, what: string, variable: string): NotConfigured {
  return new NotConfigured(
    `nothing says where ${what} is: ${variable} is not set, and no development server runs in ${reach.config.dir}.\n` +
      "  Either start one in another shell:  egret start\n" +
      "  or set EGRET_DATABASE_URL, EGRET_NATS_URL and EGRET_SECRET_KEY to say which services to use,\n" +
      "  or work with a server elsewhere, by its API:  egret login <url>",
  );
}

/** @throws NotConfigured saying both ways to fix it. */
export function databaseUrlOf(reach: Reach): string {
  if (reach.databaseUrl !== null) return reach.databaseUrl;
  throw notConfigured(reach, "Egret's Postgres", "EGRET_DATABASE_URL");
}

/** @throws NotConfigured saying both ways to fix it. */
export function natsUrlOf(reach: Reach): string {
  if (reach.natsUrl !== null) return reach.natsUrl;
  throw notConfigured(reach, "Egret's NATS server", "EGRET_NATS_URL");
}

/** @throws InvalidInput when no key is set. */
export function secretBoxOf(reach: Reach): SecretBox {
  return openSecretBox(reach.secretKeys);
}

/** Limits of the event streams as the settings say. */
export function logLimitsOf(config: Config): LogLimits {
  return {
    maxBytes: config.streamMaxBytes,
    deliveryRetentionDays: config.deliveryRetentionDays,
    replicas: 1,
  };
}

/**
 * Opens Postgres for one piece of work.
 * @throws Unavailable when it does not answer.
 */
export async function withDatabase<T>(reach: Reach, use: (database: OpenDatabase) => Promise<T>): Promise<T> {
  const database = openDatabase(databaseUrlOf(reach), { maxConnections: 4 });
  try {
    await pingDatabase(database);
    return await use(database);
  } finally {
    await database.close();
  }
}

/** The log as commands use it. */
export interface OpenLog {
  connection: LogConnection;
  log: EventLog;
}

/**
 * Opens the log for one piece of work; no stream is made or changed.
 * @throws Unavailable or AppError NATS_UNFIT.
 */
export async function withLog<T>(reach: Reach, use: (open: OpenLog) => Promise<T>): Promise<T> {
  const connection = await connectLog(natsUrlOf(reach), new Topology(reach.config.streamPrefix), "egret cli");
  const log = new EventLog(connection);
  try {
    return await use({ connection, log });
  } finally {
    log.close();
    await connection.close();
  }
}
