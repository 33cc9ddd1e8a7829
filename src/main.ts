/** The composition root: opens what a process needs, starts the roles asked for, and releases it all backwards. */
import { hostname } from "node:os";
import { sql } from "kysely";
import type { Logger } from "pino";
import { collectDefaultMetrics, Registry } from "prom-client";
import { findSync, readDestination, readSync, readWebhook, webhooksFor } from "./configuration/store.ts";
import { createWebhookSender } from "./destinations/webhook.ts";
import { AppError } from "./domain/errors.ts";
import { acceptTrigger } from "./engine/claims.ts";
import { type HealthCheck, healthRoutes } from "./http/healthRoutes.ts";
import { metricsRoutes } from "./http/metricsRoutes.ts";
import { type HttpServer, serveHttp } from "./http/server.ts";
import { connectLog, ensureTopology, type LogConnection } from "./log/connection.ts";
import { EventLog } from "./log/eventLog.ts";
import { follow } from "./log/follow.ts";
import { type LogLimits, Topology } from "./log/topology.ts";
import { type OpenDatabase, openDatabase, pingDatabase } from "./projections/database.ts";
import type { EventSource } from "./projections/eventSource.ts";
import { migrateToLatest } from "./projections/migrate.ts";
import { startProjector } from "./projections/projector.ts";
import { Releases } from "./releases.ts";
import { startCommandWorker } from "./runtime/commandWorker.ts";
import { DeliveryIntake } from "./runtime/deliveryIntake.ts";
import { DeliveryMetrics } from "./runtime/deliveryMetrics.ts";
import { startDeliveryQueues } from "./runtime/deliveryQueues.ts";
import { destinationTarget } from "./runtime/destinationTarget.ts";
import { runEngine } from "./runtime/engineSession.ts";
import { startNotifier } from "./runtime/notifier.ts";
import { startOutboxRelay } from "./runtime/outboxRelay.ts";
import { startRunWorker } from "./runtime/runWorker.ts";
import { registerServiceMetrics } from "./runtime/serviceMetrics.ts";
import { webhookTarget } from "./runtime/webhookTarget.ts";
import { createGuardedAgent } from "./security/outboundGuard.ts";
import { installationPolicy } from "./security/outboundPolicy.ts";
import { openSecretBox, type SecretBox } from "./security/secretBox.ts";
import { VERSION, WEBHOOK_USER_AGENT } from "./version.ts";

/** What one process can be asked to do; production runs as many of each as it likes. */
export const ROLES = ["api", "worker", "projector", "scheduler"] as const;
export type Role = (typeof ROLES)[number];

/** Where the services are, and how the log is laid out. */
export interface ServiceSettings {
  databaseUrl: string;
  natsUrl: string;
  /** Base64; the first one writes. */
  secretKeys: readonly string[];
  streamPrefix: string;
  limits: LogLimits;
}

/** Everything that commands and roles work with. */
export interface Services {
  connection: LogConnection;
  log: EventLog;
  database: OpenDatabase;
  box: SecretBox;
  /** The log as the projections read it. */
  events: EventSource;
  close(): Promise<void>;
}

export interface EgretSettings extends ServiceSettings {
  roles: readonly Role[];
  http: { host: string; port: number };
  concurrency: number;
  /** Whether targets may be on this machine itself: for development. */
  allowHttp: boolean;
  /** Private or special address blocks that targets may have. */
  outboundAllow: readonly string[];
  logger: Logger;
}

/** A process at work. */
export interface RunningEgret {
  services: Services;
  /** Address of the API and health pages; null without the role `api`. */
  url: string | null;
  /** Settles when a role cannot go on by itself. */
  failed: Promise<Error>;
  /** Drains and releases everything (I13). */
  close(): Promise<void>;
}

const RUNS_PER_PROCESS = 8;
/** Connections kept to one origin: above the slots of any target in one process. */
const CONNECTIONS_PER_ORIGIN = 64;

/**
 * Opens Postgres and NATS, migrates nothing, creates missing streams.
 * @throws Unavailable or AppError saying which service is not there or not fit.
 */
export async function openServices(settings: ServiceSettings): Promise<Services> {
  const releases = new Releases();
  try {
    const database = openDatabase(settings.databaseUrl, { maxConnections: 30 });
    releases.push(() => database.close());
    await pingDatabase(database);
    const connection = await connectLog(settings.natsUrl, new Topology(settings.streamPrefix));
    releases.push(() => connection.close());
    await ensureTopology(connection, settings.limits);
    const log = new EventLog(connection);
    releases.push(async () => log.close());
    const box = openSecretBox(settings.secretKeys);
    const events: EventSource = {
      follow: (stream, options) => follow(connection, stream, options),
      info: (stream) => log.info(stream),
    };
    return { connection, log, database, box, events, close: () => releases.release() };
  } catch (error) {
    await releases.release();
    throw error;
  }
}

/** Migrates, opens the services and starts the roles. */
export async function startEgret(settings: EgretSettings): Promise<RunningEgret> {
  const { roles, logger } = settings;
  if (roles.length === 0) throw new AppError("INVALID_INPUT", `name at least one role: ${ROLES.join(", ")}`);
  const migrated = await migrateToLatest(settings.databaseUrl);
  if (migrated.length > 0) logger.info({ migrations: migrated }, "database.migrated");
  const services = await openServices(settings);
  const releases = new Releases();
  releases.push(() => services.close());
  const failure = Promise.withResolvers<Error>();
  const registry = new Registry();
  // Finer, and measuring the event loop would be most of what an idle process does.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 200 });
  try {
    if (roles.includes("projector")) startProjecting(services, { releases, logger, fail: failure.resolve });
    if (roles.includes("scheduler")) {
      const onError = (err: Error) => logger.warn({ err }, "outbox.waiting");
      const relay = startOutboxRelay({ db: services.database.db, log: services.log, onError });
      releases.push(() => relay.stop());
    }
    if (roles.includes("worker")) startWorkers(services, settings, { releases, registry });
    let server: HttpServer | null = null;
    let isDraining = false;
    if (roles.includes("api")) {
      registerServiceMetrics(registry, services);
      const app = healthRoutes(healthChecks(services), () => isDraining);
      app.route("/", metricsRoutes(registry));
      server = await serveHttp(app, settings.http);
      releases.push(server.close);
    }
    const close = () => {
      isDraining = true;
      return releases.release();
    };
    return { services, url: server?.url ?? null, failed: failure.promise, close };
  } catch (error) {
    await releases.release();
    throw error;
  }
}

function startProjecting(
  { events, database }: Services,
  { releases, logger, fail }: { releases: Releases; logger: Logger; fail(error: Error): void },
): void {
  const projector = startProjector({ source: events, database, log: logger, onCorrupt: fail });
  releases.push(() => projector.close());
}

function startWorkers(
  services: Services,
  settings: EgretSettings,
  { releases, registry }: { releases: Releases; registry: Registry },
): void {
  const { connection, log, database, box } = services;
  const { logger } = settings;
  const { db } = database;
  const policy = installationPolicy(settings);
  const dispatcher = createGuardedAgent({ policy, connections: CONNECTIONS_PER_ORIGIN });
  releases.push(() => dispatcher.close());
  const targets = {
    webhook: webhookTarget({
      readWebhook: (id) => readWebhook(db, box, id),
      dispatcher,
      userAgent: WEBHOOK_USER_AGENT,
    }),
    destination: destinationTarget({
      readDestination: (id) => readDestination(db, box, id),
      database,
      connection,
      sender: createWebhookSender({ dispatcher, version: VERSION }),
    }),
  };
  const deliveries = startDeliveryQueues({
    metrics: new DeliveryMetrics(registry),
    connection,
    log,
    targets,
    concurrency: settings.concurrency,
    logger,
  });
  releases.push(() => deliveries.close());
  const intake = new DeliveryIntake(connection, log);
  const subscriptions = {
    webhooksFor: (wanted: Parameters<typeof webhooksFor>[1]) => webhooksFor(db, wanted),
  };
  const notifier = startNotifier({ connection, intake, subscriptions, logger });
  releases.push(() => notifier.close());
  const engine = runEngine({ database, readSync: (id) => readSync(db, box, id) });
  const worker = `${hostname()}/${process.pid}`;
  const runs = startRunWorker({
    connection,
    log,
    intake,
    engine,
    worker,
    concurrency: RUNS_PER_PROCESS,
    logger,
  });
  releases.push(() => runs.close());
  const desk = {
    findSync: (workspaceId: number, nameOrId: string | number) =>
      findSync(db, box, { workspaceId, nameOrId }),
    syncNames: async (workspaceId: number) => {
      const rows = await db
        .selectFrom("egret.syncs")
        .select("name")
        .where("workspace_id", "=", workspaceId)
        .execute();
      return rows.map(({ name }) => name).sort();
    },
    acceptTrigger: (claim: Parameters<typeof acceptTrigger>[1]) => acceptTrigger(db, claim),
  };
  const commands = startCommandWorker({ connection, log, desk, logger });
  releases.push(() => commands.close());
}

function healthChecks({ connection, database }: Services): HealthCheck[] {
  return [
    { name: "postgres", check: async () => void (await sql`select 1`.execute(database.db)) },
    { name: "nats", check: async () => void (await connection.jsm.getAccountInfo()) },
  ];
}
