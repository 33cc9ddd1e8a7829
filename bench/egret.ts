/** An Egret of a benchmark: migrated, configured by an egret.yaml, and at work in a process of its own. */
import { randomBytes } from "node:crypto";
import { applyChanges } from "../src/configuration/apply.ts";
import { parseEgretFile } from "../src/configuration/egretFile.ts";
import { planChanges } from "../src/configuration/plan.ts";
import { readSync } from "../src/configuration/store.ts";
import { DEFAULT_LOG_LIMITS } from "../src/log/topology.ts";
import { openDatabase } from "../src/projections/database.ts";
import { migrateToLatest } from "../src/projections/migrate.ts";
import { openSecretBox } from "../src/security/secretBox.ts";
import { postgresSource } from "../src/sources/postgres.ts";
import { startChild } from "./childMessages.ts";
import type { BenchServers } from "./servers.ts";

/** What the child can be asked. */
export type EgretQuestion =
  | { kind: "deliver"; round: string; count: number; webhookIds: number[] }
  | { kind: "peak" };
export type EgretAnswer = { ms: number } | { peakBytes: number };

/** An Egret at work. */
export interface BenchEgret {
  databaseUrl: string;
  streamPrefix: string;
  /** Ids and secrets of the webhooks. */
  webhooks: { id: number; secret: string }[];
  /** The syncs, with the query by which each reads keys and hashes. */
  syncs: { id: number; keysSql: string }[];
  /** Milliseconds for so many deliveries from end to end. */
  deliver(round: string, count: number): Promise<number>;
  /** Most memory that its process ever had, bytes. */
  peakBytes(): Promise<number>;
  close(): Promise<void>;
}

/** Deliveries and runs that the process holds at once: the default of EGRET_WORKER_CONCURRENCY. */
export const WORKER_CONCURRENCY = 100;

/** Applies the configuration and starts the process with all roles but the API. */
export async function startBenchEgret(servers: BenchServers, yaml: string): Promise<BenchEgret> {
  const databaseUrl = await servers.createDatabase();
  const streamPrefix = servers.newPrefix();
  const secretKeys = [randomBytes(32).toString("base64")];
  await migrateToLatest(databaseUrl);
  const configured = await configure({ databaseUrl, secretKeys }, yaml);
  const settings = {
    databaseUrl,
    natsUrl: servers.natsUrl,
    secretKeys,
    streamPrefix,
    limits: DEFAULT_LOG_LIMITS,
    roles: ["worker", "projector", "scheduler"],
    http: { host: "127.0.0.1", port: 0 },
    concurrency: WORKER_CONCURRENCY,
    allowHttp: true,
    outboundAllow: [],
  };
  const child = await startChild("egretChild.ts", { EGRET_BENCH_SETTINGS: JSON.stringify(settings) });
  const webhookIds = configured.webhooks.map(({ id }) => id);
  const ask = <Answer extends EgretAnswer>(question: EgretQuestion) => child.ask<Answer>(question);
  return {
    databaseUrl,
    streamPrefix,
    ...configured,
    deliver: async (round, count) =>
      (await ask<{ ms: number }>({ kind: "deliver", round, count, webhookIds })).ms,
    peakBytes: async () => (await ask<{ peakBytes: number }>({ kind: "peak" })).peakBytes,
    close: () => child.close(),
  };
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
    const secrets = new Map(webhookSecrets.map(({ name, secret }) => [name, secret]));
    const webhooks = await db.selectFrom("egret.webhooks").select(["id", "name"]).execute();
    const syncs = [];
    for (const { id } of await db.selectFrom("egret.syncs").select("id").execute()) {
      const sync = await readSync(db, box, id);
      if (sync === null) continue;
      const columns = await postgresSource.describeObject(sync.source, sync.object);
      syncs.push({ id, keysSql: postgresSource.compile(sync, columns).keysSql });
    }
    return { webhooks: webhooks.map(({ id, name }) => ({ id, secret: secrets.get(name) ?? "" })), syncs };
  } finally {
    await database.close();
  }
}
