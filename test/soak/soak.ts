/**
 * The soak: deliveries to many webhooks that answer badly, while workers and servers are killed. Everything runs on its own
 * nats-server, Postgres, receivers and Egret processes; what it came to is told by the log and by the receivers.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { applyChanges } from "../../src/configuration/apply.ts";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { planChanges } from "../../src/configuration/plan.ts";
import { connectLog, ensureTopology, type LogConnection } from "../../src/log/connection.ts";
import { EventLog } from "../../src/log/eventLog.ts";
import { DEFAULT_LOG_LIMITS, Topology } from "../../src/log/topology.ts";
import type { EgretSettings } from "../../src/main.ts";
import { openDatabase } from "../../src/projections/database.ts";
import { migrateToLatest } from "../../src/projections/migrate.ts";
import { Releases } from "../../src/releases.ts";
import { openSecretBox } from "../../src/security/secretBox.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import { type Crash, EgretProcesses } from "./egretProcesses.ts";
import type { Evidence } from "./evidence.ts";
import { type Fed, feed } from "./feeder.ts";
import { followThrough, readHistories } from "./histories.ts";
import { readStates } from "./readModel.ts";
import { type Receivers, startReceivers } from "./receivers.ts";
import { type Planned, planDeliveries, type SoakOptions } from "./soakPlan.ts";
import { type SoakServers, startSoakServers } from "./soakServers.ts";

/** How far a soak is. */
export interface SoakProgress {
  seconds: number;
  created: number;
  delivered: number;
  dead: number;
  retried: number;
  requests: number;
  kills: number;
  /** Egret processes at work now. */
  ready: number;
  /** What was done to a server since the last report, if anything. */
  news: string | null;
}

/** What a soak is run with. */
export interface SoakRun {
  options: SoakOptions;
  /** Aborting ends it without an account. */
  signal: AbortSignal;
  onProgress?(progress: SoakProgress): void;
}

const PREFIX = "soak";
const PROCESSES = 2;
const TICK_MS = 250;
/** Shares of the deliveries that have ended when a server is killed. */
const NATS_AT = 0.3;
const POSTGRES_AT = 0.6;
/** Beyond the longest that a delivery may rest: nothing has ended for so long, so nothing will. */
const STALL_MS = 60_000;
/** Who pressed Ctrl-C does not want to wait for the end of requests. */
const ABORT_PATIENCE_MS = 500;
/** Every so many kills it is the first process that goes; else the second, so that one lives through a time-out. */
const FIRST_GOES_EVERY = 4;

/** Runs a soak to its end and says all that is known of it. @throws the signal's reason when it is aborted; also when Egret does not start. */
export async function runSoak({ options, signal, onProgress }: SoakRun): Promise<Evidence> {
  const releases = new Releases();
  try {
    const servers = await startSoakServers();
    releases.push(() => servers.close());
    const receivers = await startReceivers(options);
    releases.push(() => receivers.close());
    const settings = settingsFor(servers, options);
    await migrateToLatest(settings.databaseUrl);
    const webhookIds = await configure(settings, receivers);
    const connection = await connectLog(settings.natsUrl, new Topology(PREFIX), "soak");
    releases.push(() => connection.close());
    await ensureTopology(connection, settings.limits);
    const processes = new EgretProcesses(settings, PROCESSES);
    releases.push(() => processes.close(signal.aborted ? ABORT_PATIENCE_MS : undefined));
    await allReady(processes, signal);
    const soak = new Soak({ options, servers, receivers, connection, processes, webhookIds, onProgress });
    return await soak.run(signal);
  } finally {
    await releases.release();
  }
}

function settingsFor(
  { databaseUrl, natsUrl }: SoakServers,
  options: SoakOptions,
): Omit<EgretSettings, "logger"> {
  return {
    databaseUrl,
    natsUrl,
    secretKeys: [randomBytes(32).toString("base64")],
    streamPrefix: PREFIX,
    limits: DEFAULT_LOG_LIMITS,
    roles: ["worker", "projector", "scheduler"],
    http: { host: "127.0.0.1", port: 0 },
    concurrency: options.concurrency,
    allowHttp: true,
    outboundAllow: [],
  };
}

/** Applies an egret.yaml with the webhooks and nothing else, and tells the receivers the secrets; ids by target. */
async function configure(
  { databaseUrl, secretKeys }: Pick<EgretSettings, "databaseUrl" | "secretKeys">,
  receivers: Receivers,
): Promise<number[]> {
  const hooks = receivers.endpoints.map((endpoint, target) => `  t${target}: { endpoint: "${endpoint}" }\n`);
  const database = openDatabase(databaseUrl, { maxConnections: 2 });
  try {
    const { db } = database;
    const box = openSecretBox(secretKeys);
    const file = parseEgretFile(`workspace: soak\nwebhooks:\n${hooks.join("")}`, "egret.yaml", {
      env: {},
      allowHttp: true,
    });
    const plan = await planChanges({ db, box, file, describe: postgresSource.describeObject });
    const { webhookSecrets } = await applyChanges({ db, box, plan, actor: "soak" });
    const secrets = new Map(webhookSecrets.map(({ name, secret }) => [name, secret]));
    await receivers.tellSecrets(receivers.endpoints.map((_, target) => secrets.get(`t${target}`) ?? ""));
    const rows = await db.selectFrom("egret.webhooks").select(["id", "name"]).execute();
    const ids = new Map(rows.map(({ id, name }) => [name, id]));
    return receivers.endpoints.map((_, target) => ids.get(`t${target}`) ?? 0);
  } finally {
    await database.close();
  }
}

async function allReady(processes: EgretProcesses, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + STALL_MS;
  while (processes.ready < PROCESSES) {
    signal.throwIfAborted();
    if (Date.now() > deadline) throw new Error(`Egret does not start:\n${processes.lastOutput}`);
    await wait(TICK_MS);
  }
}

interface SoakParts {
  options: SoakOptions;
  servers: SoakServers;
  receivers: Receivers;
  connection: LogConnection;
  processes: EgretProcesses;
  webhookIds: readonly number[];
  onProgress: SoakRun["onProgress"];
}

class Soak {
  readonly #parts: SoakParts;
  readonly #plan: readonly Planned[];
  readonly #serverCrashes: Crash[] = [];
  readonly #counts = { delivered: 0, dead: 0, retried: 0 };
  readonly #fed: Fed = { created: 0 };
  readonly #startedAt = Date.now();
  /** Servers that are still to be killed, each with the share of ended deliveries at which. */
  readonly #toKill: { kind: "nats-server" | "Postgres"; at: number }[] = [
    { kind: "nats-server", at: NATS_AT },
    { kind: "Postgres", at: POSTGRES_AT },
  ];
  #news: string | null = null;
  #lastEndAt = Date.now();
  #nextKillAt: number;

  constructor(parts: SoakParts) {
    this.#parts = parts;
    this.#plan = planDeliveries(parts.options);
    this.#nextKillAt = Date.now() + parts.options.secondsBetweenKills * 1_000;
  }

  get #ended(): number {
    return this.#counts.delivered + this.#counts.dead;
  }

  async run(signal: AbortSignal): Promise<Evidence> {
    const { options, connection, webhookIds, processes } = this.#parts;
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    const log = new EventLog(connection);
    const following = followThrough(connection, either, ({ event: { type } }) => {
      if (type === "delivery.retrying") this.#counts.retried += 1;
      if (type !== "delivery.delivered" && type !== "delivery.dead") return;
      this.#counts[type === "delivery.dead" ? "dead" : "delivered"] += 1;
      this.#lastEndAt = Date.now();
    });
    const bounds = { ...options, ended: () => this.#ended, mayExist: () => this.#mayExist() };
    const feeding = feed({ log, plan: this.#plan, bounds, webhookIds, fed: this.#fed, signal: either });
    try {
      await Promise.race([this.#disturb(signal), feeding.then(() => new Promise<never>(() => undefined))]);
    } finally {
      stop.abort();
      await Promise.allSettled([following, feeding]);
    }
    const seconds = (Date.now() - this.#startedAt) / 1_000;
    const evidence = await this.#gather(log, signal);
    // Closed before the account, so that an end that is no good one is in it.
    await processes.close();
    log.close();
    const crashes = [...processes.kills, ...this.#serverCrashes].sort((a, b) => a.fromMs - b.fromMs);
    const { surprises } = processes;
    return { ...evidence, options, plan: this.#plan, crashes, surprises, seconds };
  }

  /** Where so many kills are asked for, each comes while there is still something to feed: the feed waits for it. */
  #mayExist(): number {
    const { options, processes } = this.#parts;
    if (options.kills === null) return this.#plan.length;
    return Math.ceil((this.#plan.length * (processes.kills.length + 1)) / (options.kills + 1));
  }

  /** Kills what is to be killed until everything has ended, or nothing ends any more. */
  async #disturb(signal: AbortSignal): Promise<void> {
    const { options, processes } = this.#parts;
    const patienceMs = Math.max(...options.scheduleMs) + options.timeoutMs + STALL_MS;
    let reportAt = 0;
    let lastReadyAt = Date.now();
    while (this.#ended < this.#plan.length && Date.now() - this.#lastEndAt < patienceMs) {
      signal.throwIfAborted();
      if (processes.ready > 0) lastReadyAt = Date.now();
      else if (Date.now() - lastReadyAt > STALL_MS) {
        throw new Error(`Egret does not start again:\n${processes.lastOutput}`);
      }
      await this.#killServer();
      await this.#killWorker();
      if (Date.now() >= reportAt) {
        reportAt = Date.now() + 5_000;
        await this.#report();
      }
      await wait(TICK_MS);
    }
    await this.#report();
  }

  async #killWorker(): Promise<void> {
    const { options, processes } = this.#parts;
    const { kills } = processes;
    if (Date.now() < this.#nextKillAt || kills.length >= (options.kills ?? Number.POSITIVE_INFINITY)) return;
    // The other one is to have taken over: on a machine where starting takes long there would be nobody left.
    if (processes.ready < PROCESSES) return;
    const first = kills.length % FIRST_GOES_EVERY === FIRST_GOES_EVERY - 1;
    if (await processes.kill9(first ? 0 : 1)) {
      this.#nextKillAt = Date.now() + options.secondsBetweenKills * 1_000;
    }
  }

  async #killServer(): Promise<void> {
    const next = this.#toKill[0];
    if (next === undefined || this.#ended < next.at * this.#plan.length) return;
    this.#toKill.shift();
    const fromMs = Date.now();
    await this.#parts.servers.killAndRestart(next.kind);
    this.#serverCrashes.push({ kind: next.kind, fromMs, untilMs: Date.now() });
    this.#news = `${next.kind} was killed and is back after ${((Date.now() - fromMs) / 1_000).toFixed(1)} s`;
  }

  async #report(): Promise<void> {
    const { onProgress, processes, receivers } = this.#parts;
    if (onProgress === undefined) return;
    onProgress({
      seconds: Math.round((Date.now() - this.#startedAt) / 1_000),
      created: this.#fed.created,
      ...this.#counts,
      requests: await receivers.count(),
      kills: processes.kills.length,
      ready: processes.ready,
      news: this.#news,
    });
    this.#news = null;
  }

  /** What the log, the receivers and the read model say, each by itself. */
  async #gather(log: EventLog, signal: AbortSignal) {
    const { connection, receivers, servers } = this.#parts;
    const { lastSequence } = await log.info("deliveries");
    const histories = await readHistories(connection, lastSequence, signal);
    const readModel = await readStates(servers.databaseUrl, lastSequence);
    return { histories, readModel, witness: await receivers.report() };
  }
}
