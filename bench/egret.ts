/** An Egret of a benchmark: migrated and configured by an egret.yaml, with as many processes as the benchmark starts. */
import { randomBytes } from "node:crypto";
import packageJson from "../package.json" with { type: "json" };
import { applyChanges } from "../src/configuration/apply.ts";
import { parseEgretFile } from "../src/configuration/egretFile.ts";
import { planChanges } from "../src/configuration/plan.ts";
import { readSync } from "../src/configuration/store.ts";
import { DEFAULT_LOG_LIMITS } from "../src/log/topology.ts";
import type { EgretSettings, Role } from "../src/main.ts";
import { openDatabase } from "../src/projections/database.ts";
import { migrateToLatest } from "../src/projections/migrate.ts";
import { openSecretBox } from "../src/security/secretBox.ts";
import { postgresSource } from "../src/sources/postgres.ts";
import { type Child, startChild } from "./childMessages.ts";
import type { BenchServers } from "./servers.ts";

/** What a process is started with; it opens its own log lines. */
export type BenchSettings = Omit<EgretSettings, "logger" | "roles">;

/** What a process can be asked. */
export type EgretQuestion =
  | { kind: "start"; roles: readonly Role[] }
  | { kind: "stop" }
  | { kind: "peak" }
  | { kind: "profile"; file: string | null };

/** An installation: its database and streams are its own. */
export interface BenchEgret {
  databaseUrl: string;
  natsUrl: string;
  streamPrefix: string;
  /** Ids and secrets of the webhooks, in the order of the file. */
  webhooks: { id: number; secret: string }[];
  /** The syncs by their names, with the queries by which each reads keys and hashes, and whole rows. */
  syncs: Map<string, { id: number; keysSql: string; recordsSql: string }>;
  /** Starts a process that does nothing yet; what is given differs from the other processes' settings. */
  openProcess(differing?: Partial<BenchSettings>): Promise<EgretProcess>;
}

/** One process of Egret, which can be at work or not: its code stays warm between. */
export interface EgretProcess {
  pid: number;
  /** Resolves when the roles are at work, with the address of the process. */
  start(roles: readonly Role[]): Promise<string>;
  /** Drains; the process stays. */
  stop(): Promise<void>;
  /** Most memory that it ever had, bytes. */
  peakBytes(): Promise<number>;
  /** Does the work with the CPU profiler on, and writes what it saw. */
  profiled<Result>(file: string, work: () => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
  /** Ends it as a crash would (kill -9). */
  kill(): Promise<void>;
}

/** Deliveries and runs that a process holds at once: the default of EGRET_WORKER_CONCURRENCY. */
export const WORKER_CONCURRENCY = 100;

/** The options of Node that `npm start` gives to Egret. */
const NODE_OPTIONS = packageJson.scripts.start.split(" ").filter((word) => word.startsWith("--"));

/** All roles but the API: what works without being asked. */
export const AT_WORK: readonly Role[] = ["worker", "projector", "scheduler"];

/** Makes an installation; nothing runs yet. */
export async function openBenchEgret(servers: BenchServers, yaml: string): Promise<BenchEgret> {
  const databaseUrl = await servers.createDatabase();
  const streamPrefix = servers.newPrefix();
  const secretKeys = [randomBytes(32).toString("base64")];
  await migrateToLatest(databaseUrl);
  const configured = await configure({ databaseUrl, secretKeys }, yaml);
  const settings: BenchSettings = {
    databaseUrl,
    natsUrl: servers.natsUrl,
    secretKeys,
    streamPrefix,
    limits: DEFAULT_LOG_LIMITS,
    http: { host: "127.0.0.1", port: 0 },
    concurrency: WORKER_CONCURRENCY,
    allowHttp: true,
    outboundAllow: [],
  };
  return {
    databaseUrl,
    natsUrl: servers.natsUrl,
    streamPrefix,
    ...configured,
    openProcess: async (differing) =>
      processOf(
        await startChild("egretChild.ts", {
          env: { EGRET_BENCH_SETTINGS: JSON.stringify({ ...settings, ...differing }) },
          execArgv: NODE_OPTIONS,
        }),
      ),
  };
}

function processOf(child: Child): EgretProcess {
  const ask = <Answer>(question: EgretQuestion) => child.ask<Answer>(question);
  return {
    pid: child.pid,
    start: async (roles) => (await ask<{ url: string }>({ kind: "start", roles })).url,
    stop: async () => void (await ask({ kind: "stop" })),
    peakBytes: async () => (await ask<{ peakBytes: number }>({ kind: "peak" })).peakBytes,
    async profiled(file, work) {
      await ask({ kind: "profile", file: null });
      try {
        return await work();
      } finally {
        await ask({ kind: "profile", file });
      }
    },
    close: () => child.close(),
    kill: () => child.kill(),
  };
}

/** An egret.yaml with nothing but webhooks, one for each path of the sink. */
export function webhooksYaml(sinkUrl: string, paths: readonly string[]): string {
  const lines = paths.map((path, index) => `  hook${index}: { endpoint: "${sinkUrl}${path}" }\n`);
  return `workspace: bench\nwebhooks:\n${lines.join("")}`;
}

async function configure(
  { databaseUrl, secretKeys }: { databaseUrl: string; secretKeys: string[] },
  yaml: string,
): Promise<Pick<BenchEgret, "webhooks" | "syncs">> {
  const database = openDatabase(databaseUrl, { maxConnections: 2 });
  try {
    const { db } = database;
    const box = openSecretBox(secretKeys);
    const file = parseEgretFile(yaml, "egret.yaml", { env: {}, allowHttp: true });
    const plan = await planChanges({ db, box, file, describe: postgresSource.describeObject });
    const { webhookSecrets } = await applyChanges({ db, box, plan, actor: "bench" });
    const rows = await db.selectFrom("egret.webhooks").select(["id", "name"]).execute();
    const ids = new Map(rows.map(({ id, name }) => [name, id]));
    const syncs: BenchEgret["syncs"] = new Map();
    for (const { id } of await db.selectFrom("egret.syncs").select("id").execute()) {
      const sync = await readSync(db, box, id);
      if (sync === null) continue;
      const columns = await postgresSource.describeObject(sync.source, sync.object);
      const { keysSql, recordsSql } = postgresSource.compile(sync, columns);
      const anyRun = { runId: 1, startedAt: new Date() };
      syncs.set(sync.name, { id, keysSql, recordsSql: recordsSql(null, anyRun) });
    }
    const byNumber = (a: { name: string }, b: { name: string }) =>
      Number(/\d+$/.exec(a.name)?.[0]) - Number(/\d+$/.exec(b.name)?.[0]);
    const webhooks = webhookSecrets.toSorted(byNumber);
    return { webhooks: webhooks.map(({ name, secret }) => ({ id: ids.get(name) ?? 0, secret })), syncs };
  } finally {
    await database.close();
  }
}
