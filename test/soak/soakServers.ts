/** A Postgres and a nats-server of a soak's own, flushed to the disk as in production, which can be killed and come back. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { EmbeddedLog } from "../../src/embedded/embeddedLog.ts";
import { findNatsServer } from "../../src/embedded/findNatsServer.ts";
import { startNatsServer } from "../../src/embedded/natsServer.ts";
import { startPostgres } from "../../src/embedded/postgres.ts";
import { Releases } from "../../src/releases.ts";

/** Servers that run. */
export interface SoakServers {
  databaseUrl: string;
  natsUrl: string;
  /** kill -9, a moment of nothing, and a start on the same port and data. */
  killAndRestart(kind: "nats-server" | "Postgres"): Promise<void>;
  close(): Promise<void>;
}

const DOWN_MS = 1_000;
const root = path.resolve(import.meta.dirname, "../..");
const log: EmbeddedLog = {
  info() {},
  warn(fields, message) {
    process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
  },
};

/** Starts both; on a failure nothing stays behind. */
export async function startSoakServers(): Promise<SoakServers> {
  const releases = new Releases();
  try {
    const dir = await mkdtemp(path.join(tmpdir(), "egret-soak-"));
    releases.push(() => rm(dir, { recursive: true, force: true }));
    const { path: binary } = await findNatsServer({ dir: path.join(root, ".egret"), log });
    const nats = await startNatsServer({ binary, storeDir: path.join(dir, "nats"), log });
    releases.push(() => nats.stop());
    const postgres = await startPostgres({ dataDir: path.join(dir, "postgres"), log });
    // An account that may not enter the temporary folder keeps its data elsewhere.
    releases.push(() => rm(postgres.dataDir, { recursive: true, force: true }));
    releases.push(() => postgres.stop());
    return {
      databaseUrl: postgres.url(),
      natsUrl: nats.url,
      async killAndRestart(kind) {
        const server = kind === "Postgres" ? postgres : nats;
        await server.kill9();
        await wait(DOWN_MS);
        await server.restart();
      },
      close: () => releases.release(),
    };
  } catch (error) {
    await releases.release();
    throw error;
  }
}
