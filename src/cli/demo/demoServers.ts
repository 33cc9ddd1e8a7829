/** The servers of the demo, in a folder of its own, beside whatever else runs here. */
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import type { Config } from "../../config.ts";
import type { EmbeddedLog } from "../../embedded/embeddedLog.ts";
import { findNatsServer } from "../../embedded/findNatsServer.ts";
import { startNatsServer } from "../../embedded/natsServer.ts";
import {
  type OpenDevelopmentServices,
  openDevelopmentServices,
  readDevelopmentServices,
} from "../../embedded/services.ts";
import { Releases } from "../../releases.ts";

/** Running servers. */
export interface DemoServers {
  dir: string;
  services: OpenDevelopmentServices;
  /** Stops them and removes the folder. */
  close(): Promise<void>;
}

const PREFIX = "demo-";
/** A folder younger than this can belong to a demo that is starting now, ms. */
const ABANDONED_AFTER_MS = 10 * 60_000;

/** Opens the servers in a new folder below Egret's own; nats-server itself is kept for the next time. */
export async function openDemoServers({ dir: given }: Config, log: EmbeddedLog): Promise<DemoServers> {
  const home = path.resolve(given);
  await mkdir(home, { recursive: true, mode: 0o700 });
  await removeAbandoned(home);
  const dir = await mkdtemp(path.join(home, PREFIX));
  const releases = new Releases();
  releases.push(() => rm(dir, { recursive: true, force: true }));
  try {
    const { path: binary } = await findNatsServer({ dir: home, log });
    const nats = await startNatsServer({ binary, storeDir: path.join(dir, "nats"), log });
    releases.push(() => nats.stop());
    const services = await openDevelopmentServices({ dir, natsUrl: nats.url, log });
    releases.push(async () => {
      await services.close();
      // Where Postgres cannot enter our folder its data is elsewhere.
      if (services.postgres !== undefined)
        await rm(services.postgres.dataDir, { recursive: true, force: true });
    });
    return { dir, services, close: () => releases.release() };
  } catch (error) {
    await releases.release();
    throw error;
  }
}

/** Folders of demos that were killed. */
async function removeAbandoned(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    if (!name.startsWith(PREFIX)) continue;
    const dir = path.join(home, name);
    const { mtimeMs } = await stat(dir);
    if (Date.now() - mtimeMs < ABANDONED_AFTER_MS || (await readDevelopmentServices(dir)) !== undefined)
      continue;
    await rm(dir, { recursive: true, force: true });
  }
}
