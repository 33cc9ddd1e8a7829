/** Starts one Postgres and one nats-server for a whole test run, in a temporary folder, and removes them at its end. */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Client } from "pg";
import type { TestProject } from "vitest/node";
import type { EmbeddedLog } from "../../src/embedded/embeddedLog.ts";
import { findNatsServer } from "../../src/embedded/findNatsServer.ts";
import { startNatsServer } from "../../src/embedded/natsServer.ts";
import { startPostgres } from "../../src/embedded/postgres.ts";

/** Where the servers of this run are. */
export interface TestServers {
  natsUrl: string;
  databaseUrl: string;
  /** The nats-server program, for tests that start one of their own. */
  natsBinary: string;
  /** A migrated database to clone, once there are migrations. */
  template: string | undefined;
}

declare module "vitest" {
  interface ProvidedContext {
    servers: TestServers;
  }
}

interface SharedServers {
  servers: TestServers;
  close(): Promise<void>;
}

/** Two projects name this file, and vitest loads it for each: the servers they share hang on the process. */
interface Sharing {
  users: number;
  opening?: Promise<SharedServers>;
}
const SHARING = Symbol.for("egret.test.servers");
const TEMPLATE = "egret_template";
const root = path.resolve(import.meta.dirname, "../..");
const log: EmbeddedLog = {
  info() {},
  warn(fields, message) {
    process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
  },
};

/** Vitest calls this once per project, and what it returns at the end. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const holder = globalThis as { [SHARING]?: Sharing };
  const sharing = (holder[SHARING] ??= { users: 0 });
  sharing.users += 1;
  sharing.opening ??= openServers();
  const { servers, close } = await sharing.opening;
  project.provide("servers", servers);
  return async () => {
    sharing.users -= 1;
    if (sharing.users > 0) return;
    delete holder[SHARING];
    await close();
  };
}

async function openServers(): Promise<SharedServers> {
  const dir = await mkdtemp(path.join(tmpdir(), "egret-test-"));
  const releases: (() => Promise<void>)[] = [() => rm(dir, { recursive: true, force: true })];
  async function close(): Promise<void> {
    // A test that crashed a server on purpose has left nothing to stop; the folders go in any case.
    for (const release of releases.splice(0).toReversed()) await release().catch(() => {});
  }
  try {
    const { path: natsBinary } = await findNatsServer({ dir: path.join(root, ".egret"), log });
    const nats = await startNatsServer({ binary: natsBinary, storeDir: path.join(dir, "nats"), log });
    releases.push(() => nats.stop());
    const postgres = await startPostgres({ dataDir: path.join(dir, "postgres"), log, fast: true });
    releases.push(
      () => rm(postgres.dataDir, { recursive: true, force: true }),
      () => postgres.stop(),
    );
    const template = await migrateTemplate(postgres.url("postgres"), postgres.url(TEMPLATE));
    return {
      servers: { natsUrl: nats.url, databaseUrl: postgres.url("postgres"), natsBinary, template },
      close,
    };
  } catch (error) {
    // A server left running would keep vitest from ending.
    await close();
    throw error;
  }
}

/** Migrating takes longer than cloning: it is done once, and every file that asks gets a copy. */
async function migrateTemplate(adminUrl: string, templateUrl: string): Promise<string | undefined> {
  const file = path.join(root, "src/projections/migrate.ts");
  if (!existsSync(file)) return undefined;
  const { migrateToLatest } = (await import(pathToFileURL(file).href)) as {
    migrateToLatest(databaseUrl: string): Promise<unknown>;
  };
  const admin = new Client({ connectionString: adminUrl });
  await admin.connect();
  try {
    await admin.query(`create database ${TEMPLATE}`);
  } finally {
    await admin.end();
  }
  await migrateToLatest(templateUrl);
  return TEMPLATE;
}
