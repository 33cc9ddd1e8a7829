/** Opens the servers that a developer did not bring along, and tells the commands of other shells where they are. */
import { randomBytes, randomUUID } from "node:crypto";
import { chmod, link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { EmbeddedLog } from "./embeddedLog.ts";
import { findNatsServer } from "./findNatsServer.ts";
import { type EmbeddedNatsServer, startNatsServer } from "./natsServer.ts";
import { type EmbeddedPostgres, startPostgres } from "./postgres.ts";
import { isAlive } from "./processes.ts";
import { acquireLock } from "./processLock.ts";

/** What is given is used; what is not given is started. */
export interface DevelopmentOptions {
  /** Everything is kept under this folder; `.egret` unless another is named. */
  dir?: string;
  natsUrl?: string | null;
  databaseUrl?: string | null;
  log: EmbeddedLog;
}

/** What another shell needs to reach a running development server. */
export interface DevelopmentServices {
  natsUrl: string;
  databaseUrl: string;
  /** 32 bytes in base64: encrypts the secrets of sources and destinations. */
  secretKey: string;
  /** The process that holds the services open. */
  pid: number;
}

/** Services that this process opened. */
export interface OpenDevelopmentServices extends DevelopmentServices {
  /** The servers that were started, for whoever wants to watch them end. */
  nats?: EmbeddedNatsServer;
  postgres?: EmbeddedPostgres;
  /** Releases everything, last opened first; a second call waits for the first. */
  close(): Promise<void>;
}

const DEFAULT_DIR = ".egret";
const DATABASE = "postgres";

/** Opens what is missing and publishes where it is; on a failure nothing stays open. */
export async function openDevelopmentServices(options: DevelopmentOptions): Promise<OpenDevelopmentServices> {
  const dir = path.resolve(options.dir ?? DEFAULT_DIR);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await chmod(dir, 0o700);

  const releases: (() => Promise<void>)[] = [];
  const close = once(async () => await releaseBackwards(releases));
  try {
    const lock = await acquireLock(path.join(dir, "egret.lock"), `the Egret folder ${dir}`);
    releases.push(() => lock.release());
    const secretKey = await ensureSecretKey(path.join(dir, "secret.key"));

    const [nats, postgres] = await openServers(dir, options, releases);
    const services: DevelopmentServices = {
      natsUrl: options.natsUrl ?? nats?.url ?? "",
      databaseUrl: options.databaseUrl ?? postgres?.url(DATABASE) ?? "",
      secretKey,
      pid: process.pid,
    };
    const published = path.join(dir, "services.json");
    await writeAtomically(published, `${JSON.stringify(services, undefined, 2)}\n`);
    releases.push(() => rm(published, { force: true }));
    return { ...services, ...(nats && { nats }), ...(postgres && { postgres }), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Reads where a running development server keeps its services; undefined when none runs there. */
export async function readDevelopmentServices(
  dir: string = DEFAULT_DIR,
): Promise<DevelopmentServices | undefined> {
  let text: string;
  try {
    text = await readFile(path.join(dir, "services.json"), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const services = JSON.parse(text) as DevelopmentServices;
  // Left behind by a process that was killed: its servers went with it.
  return isAlive(services.pid) ? services : undefined;
}

/** Both at once; what did open is released even when the other did not. */
async function openServers(
  dir: string,
  { natsUrl = null, databaseUrl = null, log }: DevelopmentOptions,
  releases: (() => Promise<void>)[],
): Promise<[EmbeddedNatsServer | undefined, EmbeddedPostgres | undefined]> {
  async function openNats(): Promise<EmbeddedNatsServer | undefined> {
    if (natsUrl !== null) return undefined;
    const { path: binary } = await findNatsServer({ dir, log });
    const nats = await startNatsServer({ binary, storeDir: path.join(dir, "nats"), log });
    releases.push(() => nats.stop());
    return nats;
  }
  async function openPostgres(): Promise<EmbeddedPostgres | undefined> {
    if (databaseUrl !== null) return undefined;
    const postgres = await startPostgres({ dataDir: path.join(dir, "postgres"), log });
    releases.push(() => postgres.stop());
    return postgres;
  }
  const [nats, postgres] = await Promise.allSettled([openNats(), openPostgres()]);
  if (nats.status === "rejected") throw nats.reason;
  if (postgres.status === "rejected") throw postgres.reason;
  return [nats.value, postgres.value];
}

/** Keeps the key over restarts: losing it makes every stored secret unreadable. */
async function ensureSecretKey(file: string): Promise<string> {
  const draft = `${file}.${randomUUID()}`;
  await writeFile(draft, `${randomBytes(32).toString("base64")}\n`, { mode: 0o600 });
  try {
    // Never replaces a key that is there.
    await link(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    await rm(draft, { force: true });
  }
  const key = (await readFile(file, "utf8")).trim();
  if (Buffer.from(key, "base64").length === 32) return key;
  throw new Error(
    `${file} does not hold 32 bytes in base64. Restore it from a backup, or delete it and enter every secret again.`,
  );
}

async function writeAtomically(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomUUID()}`;
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, file);
}

async function releaseBackwards(releases: (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (let release = releases.pop(); release !== undefined; release = releases.pop()) {
    try {
      await release();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, "not everything could be released");
}

function once(task: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= task());
}
