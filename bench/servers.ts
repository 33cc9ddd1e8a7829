/** A Postgres and a nats-server of the bench's own in a temporary folder, flushed to the disk as in production. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Client } from "pg";
import type { EmbeddedLog } from "../src/embedded/embeddedLog.ts";
import { findNatsServer } from "../src/embedded/findNatsServer.ts";
import { startNatsServer } from "../src/embedded/natsServer.ts";
import { startPostgres } from "../src/embedded/postgres.ts";
import { Releases } from "../src/releases.ts";

/** What the benchmarks share. */
export interface BenchServers {
  natsUrl: string;
  /** Versions of what is measured against, such as `Postgres 18.4, nats-server 2.15.1`. */
  versions: string;
  /** Process ids, by the names that tables show. */
  pids: { "nats-server": number; Postgres: number };
  /** Makes an empty database and resolves to its address. */
  createDatabase(): Promise<string>;
  /** A stream prefix that no other benchmark uses. */
  newPrefix(): string;
  close(): Promise<void>;
}

const root = path.resolve(import.meta.dirname, "..");
const log: EmbeddedLog = {
  info() {},
  warn(fields, message) {
    process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
  },
};

const uniqueName = () => `bench_${randomBytes(5).toString("hex")}`;

/** Starts both; on a failure nothing stays behind. */
export async function openBenchServers(): Promise<BenchServers> {
  const releases = new Releases();
  try {
    const dir = await mkdtemp(path.join(tmpdir(), "egret-bench-"));
    releases.push(() => rm(dir, { recursive: true, force: true }));
    const found = await findNatsServer({ dir: path.join(root, ".egret"), log });
    const nats = await startNatsServer({ binary: found.path, storeDir: path.join(dir, "nats"), log });
    releases.push(() => nats.stop());
    const postgres = await startPostgres({ dataDir: path.join(dir, "postgres"), log });
    // An account that may not enter the temporary folder keeps its data elsewhere.
    releases.push(() => rm(postgres.dataDir, { recursive: true, force: true }));
    releases.push(() => postgres.stop());
    const admin = postgres.url("postgres");
    const [{ version }] = (await query(admin, "select current_setting('server_version') as version")) as [
      { version: string },
    ];
    return {
      natsUrl: nats.url,
      pids: { "nats-server": nats.pid, Postgres: postgres.pid },
      versions: `Postgres ${version}, nats-server ${found.version}`,
      createDatabase: async () => {
        const name = uniqueName();
        await query(admin, `create database ${name}`);
        return postgres.url(name);
      },
      newPrefix: uniqueName,
      close: () => releases.release(),
    };
  } catch (error) {
    await releases.release();
    throw error;
  }
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
