/** The composition root: opens what a process needs, starts the roles asked for, and releases it all backwards. */
import { hostname } from "node:os";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import {
  destinationStamps,
  findSync,
  readDestination,
  readSplitOption,
  readSync,
  readWebhook,
  webhookStamps,
} from "./configuration/store.ts";
import { SubscriptionReader } from "./configuration/subscriptions.ts";
import { autoDisableWebhook } from "./configuration/webhookSwitch.ts";
import type { DestinationSender } from "./destinations/destination.ts";
import { createDestinationSender } from "./destinations/registry.ts";
import { AppError } from "./domain/errors.ts";
import { acceptTrigger, claimOf, releaseSync } from "./engine/claims.ts";
import { HeldBatches } from "./engine/heldBatches.ts";
import { acceptTrial } from "./engine/trials.ts";
import { type HttpServer, type Served, serveHttp } from "./http/server.ts";
import { connectLog, ensureTopology, type LogConnection } from "./log/connection.ts";
import { EventLog } from "./log/eventLog.ts";
import { follow } from "./log/follow.ts";
import { type LogLimits, Topology } from "./log/topology.ts";
import { type OpenDatabase, openDatabase, pingDatabase } from "./projections/database.ts";
import type { EventSource } from "./projections/eventSource.ts";
import { ExchangeStore } from "./projections/exchangeStore.ts";
import { migrateToLatest } from "./projections/migrate.ts";
import { startProjector } from "./projections/projector.ts";
import { Releases } from "./releases.ts";
import { startAlertWorker } from "./runtime/alerts/alertWorker.ts";
import { startCommandWorker } from "./runtime/commandWorker.ts";
import { DeliveryIntake } from "./runtime/deliveries/deliveryIntake.ts";
import { startDeliveryLanes } from "./runtime/deliveries/deliveryLanes.ts";
import { destinationTarget } from "./runtime/deliveries/destinationTarget.ts";
import { startNotifier } from "./runtime/deliveries/notifier.ts";
import { tellSending } from "./runtime/deliveries/sendingDesk.ts";
import { webhookTarget } from "./runtime/deliveries/webhookTarget.ts";
import { EndpointHealth } from "./runtime/endpoints/endpointHealth.ts";
import { startOutboxRelay } from "./runtime/outboxRelay.ts";
import { startReplayWorker } from "./runtime/replays/replayWorker.ts";
import { DEFAULT_EXCHANGE_DAYS, DEFAULT_RECORD_DAYS, startRetention } from "./runtime/retention.ts";
import { runEngine } from "./runtime/runs/engineSession.ts";
import { startRunWorker } from "./runtime/runs/runWorker.ts";
import { DeliveryMetrics } from "./runtime/telemetry/deliveryMetrics.ts";
import { registerExchangeMetrics } from "./runtime/telemetry/exchangeMetrics.ts";
import type { TracingOptions } from "./runtime/telemetry/otelTracing.ts";
import { openRegistry } from "./runtime/telemetry/processMetrics.ts";
import { registerServiceMetrics } from "./runtime/telemetry/serviceMetrics.ts";
import { NO_TRACING, type Tracing } from "./runtime/telemetry/tracing.ts";
import { startTrialWorker } from "./runtime/trials/trialWorker.ts";
import { DEFAULT_RUNS_PER_WORKSPACE, openRunAdmission } from "./runtime/triggers/runAdmission.ts";
import { startScheduler } from "./runtime/triggers/scheduler.ts";
import { startSequences } from "./runtime/triggers/sequence.ts";
import { startUnbegunRuns } from "./runtime/triggers/unbegunRuns.ts";
import { type OutboundSettings, openOutboundPools } from "./security/outboundPools.ts";
import { openSecretBox, type SecretBox } from "./security/secretBox.ts";
import { VERSION, WEBHOOK_USER_AGENT } from "./version.ts";
import { type ApiSettings, webPages } from "./webPages.ts";

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

export interface EgretSettings extends ServiceSettings, OutboundSettings, ApiSettings {
  roles: readonly Role[];
  http: { host: string; port: number };
  /** Where people reach Egret, for links in alerts; not given, its own address. */
  publicUrl?: string | null;
  concurrency: number;
  /** Runs of one workspace that work at the same time, over all processes; 8 unless given. */
  runsPerWorkspace?: number;
  /** How long headers and bodies of requests to targets are kept; 14 days unless given, 0 keeps none. */
  exchangeRetentionDays?: number;
  /** How long rows of runs are kept as they were sent; 14 days unless given, 0 keeps none. */
  recordRetentionDays?: number;
  /** Where traces go; not given, they are only handed on. */
  tracing?: Pick<TracingOptions, "endpoint" | "share"> | null;
  logger: Logger;
}

/** A process at work. */
export interface RunningEgret {
  services: Services;
  /** Address of the health pages and metrics, and of the API where there is that role. */
  url: string;
  /** Settles when a role cannot go on by itself. */
  failed: Promise<Error>;
  /** Drains and releases everything (I13). */
  close(): Promise<void>;
}

const RUNS_PER_PROCESS = 8;
/** Connections kept to one origin: above the slots of any target in one process. */
const CONNECTIONS_PER_ORIGIN = 100;

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
  const registry = openRegistry({ version: VERSION, roles });
  try {
    const tracing = await startTracing(settings);
    releases.push(() => tracing.close());
    if (roles.includes("projector")) startProjecting(services, { releases, logger, fail: failure.resolve });
    if (roles.includes("scheduler")) {
      const onError = (err: Error) => logger.warn({ err }, "outbox.waiting");
      const relay = startOutboxRelay({ db: services.database.db, log: services.log, onError });
      releases.push(() => relay.stop());
      const retention = startRetention({
        database: services.database,
        rules: {
          deliveryDays: settings.limits.deliveryRetentionDays,
          exchangeDays: settings.exchangeRetentionDays ?? DEFAULT_EXCHANGE_DAYS,
          recordDays: settings.recordRetentionDays ?? DEFAULT_RECORD_DAYS,
        },
        logger,
      });
      releases.push(() => retention.stop());
      startTriggers(services, { releases, logger });
    }
    let ownUrl = urlOf(settings.http);
    const publicUrl = () => (settings.publicUrl ?? ownUrl).replace(/\/+$/, "");
    if (roles.includes("worker"))
      startWorkers(services, settings, { releases, registry, tracing, publicUrl });
    let isDraining = false;
    // They tell of the installation, not of this process: from a few processes is enough.
    if (roles.includes("api") || roles.includes("projector")) registerServiceMetrics(registry, services);
    const served = webPages({
      services,
      settings,
      registry,
      releases,
      isDraining: () => isDraining,
      publicUrl,
    });
    const server = await serve(served, settings);
    if (roles.includes("api")) ownUrl = server.url;
    releases.push(server.close);
    releases.push(served.lastCall);
    const close = () => {
      isDraining = true;
      return releases.release();
    };
    return { services, url: server.url, failed: failure.promise, close };
  } catch (error) {
    await releases.release();
    throw error;
  }
}

/** Loads the tracing libraries only where they are used: they cost start-up time and memory. */
async function startTracing({ tracing, logger }: EgretSettings): Promise<Tracing> {
  if (tracing === undefined || tracing === null) return NO_TRACING;
  const { openTracing } = await import("./runtime/telemetry/otelTracing.ts");
  return openTracing({ ...tracing, version: VERSION, logger });
}

/** Without the API nobody needs to know the port beforehand: of several workers on a machine each finds one. */
async function serve(app: Served, { http, roles, logger }: EgretSettings): Promise<HttpServer> {
  return serveHttp(app, http).catch(async (error: Error) => {
    const isTaken = (error.cause as NodeJS.ErrnoException | undefined)?.code === "EADDRINUSE";
    if (!isTaken || roles.includes("api")) throw error;
    const server = await serveHttp(app, { ...http, port: 0 });
    logger.warn({ taken: http.port, address: server.url }, "http.port_taken");
    return server;
  });
}

function startProjecting(
  { events, database }: Services,
  { releases, logger, fail }: { releases: Releases; logger: Logger; fail(error: Error): void },
): void {
  const projector = startProjector({ source: events, database, log: logger, onCorrupt: fail });
  releases.push(() => projector.close());
}

/** Where the API listens as the settings have it, which a process without it cannot know better. */
function urlOf({ host, port }: EgretSettings["http"]): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function startTriggers(
  { connection, log, database: { db } }: Services,
  { releases, logger }: { releases: Releases; logger: Logger },
): void {
  const scheduler = startScheduler({ db, connection, logger });
  releases.push(() => scheduler.stop());
  const unbegun = startUnbegunRuns({ db, log, logger });
  releases.push(() => unbegun.stop());
  const sequences = startSequences({ db, connection, logger });
  releases.push(() => sequences.close());
}

interface WorkerParts {
  releases: Releases;
  registry: Registry;
  tracing: Tracing;
  publicUrl(): string;
}

function startDeliveries(
  { connection, log, database, box }: Services,
  settings: EgretSettings,
  { releases, registry, tracing, held }: Omit<WorkerParts, "publicUrl"> & { held: HeldBatches },
): { sender: DestinationSender } {
  const { logger } = settings;
  const { db } = database;
  const { close, ...pools } = openOutboundPools(settings, { connections: CONNECTIONS_PER_ORIGIN });
  releases.push(close);
  const sender = createDestinationSender({ ...pools, version: VERSION });
  const targets = {
    webhook: webhookTarget({
      readWebhook: (id) => readWebhook(db, box, id),
      stamps: (ids) => webhookStamps(db, ids),
      ...pools,
      userAgent: WEBHOOK_USER_AGENT,
    }),
    destination: tellSending(
      connection,
      destinationTarget({
        readDestination: (id) => readDestination(db, box, id),
        stamps: (ids) => destinationStamps(db, ids),
        readSplitOption: (syncId) => readSplitOption(db, syncId),
        keepsRows: (settings.recordRetentionDays ?? DEFAULT_RECORD_DAYS) > 0,
        database,
        held,
        connection,
        sender,
      }),
    ),
  };
  const keepsExchanges = (settings.exchangeRetentionDays ?? DEFAULT_EXCHANGE_DAYS) > 0;
  const exchanges = keepsExchanges ? new ExchangeStore({ pool: database.pool, log: logger }) : undefined;
  if (exchanges !== undefined) {
    releases.push(() => exchanges.close());
    registerExchangeMetrics(registry, exchanges);
  }
  const circuit = new EndpointHealth({
    log,
    connection,
    logger,
    onDisable: ({ id }, wish) => autoDisableWebhook(db, id, wish),
  });
  releases.push(() => circuit.close());
  const deliveries = startDeliveryLanes({
    tracing,
    circuit,
    exchanges,
    metrics: new DeliveryMetrics(registry),
    connection,
    log,
    targets,
    concurrency: settings.concurrency,
    logger,
  });
  releases.push(() => deliveries.close());
  return { sender };
}

function startWorkers(
  services: Services,
  settings: EgretSettings,
  { releases, registry, tracing, publicUrl }: WorkerParts,
): void {
  const { connection, log, database, box } = services;
  const { logger } = settings;
  const { db } = database;
  const held = new HeldBatches();
  const { sender } = startDeliveries(services, settings, { releases, registry, tracing, held });
  const intake = new DeliveryIntake(log);
  const subscriptions = new SubscriptionReader(database.pool);
  const notifier = startNotifier({ connection, intake, subscriptions, logger, tracing });
  releases.push(() => notifier.close());
  const alerts = startAlertWorker({ connection, db, log, logger, publicUrl });
  releases.push(() => alerts.close());
  const engine = runEngine({ database, held, readSync: (id) => readSync(db, box, id) });
  const worker = `${hostname()}/${process.pid}`;
  const limit = settings.runsPerWorkspace ?? DEFAULT_RUNS_PER_WORKSPACE;
  const admission = openRunAdmission({ db, log, limit });
  releases.push(async () => admission.close());
  const runs = startRunWorker({
    connection,
    log,
    intake,
    engine,
    admission,
    worker,
    concurrency: RUNS_PER_PROCESS,
    logger,
    tracing,
  });
  releases.push(() => runs.close());
  const trials = startTrialWorker({
    connection,
    log,
    database,
    readSync: (id) => readSync(db, box, id),
    sender,
    worker,
    logger,
  });
  releases.push(() => trials.close());
  const replays = startReplayWorker({ db, connection, log, logger });
  releases.push(() => replays.close());
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
    claimOf: (run: Parameters<typeof claimOf>[1]) => claimOf(db, run),
    acceptTrial: (wish: Parameters<typeof acceptTrial>[1]) => acceptTrial(db, wish),
    releaseRun: (syncId: number, runId: number) => releaseSync(db, syncId, runId),
  };
  const commands = startCommandWorker({ connection, log, desk, logger, tracing });
  releases.push(() => commands.close());
}
