/** Finds a nats-server that is new enough, or brings one along: nothing is ever installed system-wide. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { access, chmod, constants, copyFile, mkdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { fetchDebianNatsServer } from "./debianNatsServer.ts";
import type { EmbeddedLog } from "./embeddedLog.ts";
import { fetchReleasedNatsServer } from "./releasedNatsServer.ts";

/** Where to look, and how to bring one along. */
export interface FindNatsServerOptions {
  /** The development folder: a copy is kept under its `bin`. */
  dir: string;
  log: EmbeddedLog;
  /** The search path; the environment's unless a test gives another. */
  searchPath?: string;
  /** The ways to bring a server along, in order; each resolves to a binary within the folder it is given. */
  fetchers?: readonly NatsServerFetcher[];
}

/** One way to bring a nats-server along. */
export interface NatsServerFetcher {
  name: string;
  /** Puts a binary somewhere below `folder` and resolves to its path; throws the reason why it cannot. */
  fetch(folder: string): Promise<string>;
}

/** A usable nats-server. */
export interface FoundNatsServer {
  path: string;
  version: string;
}

/** The oldest nats-server that has what the log needs: atomic batches, scheduled messages, per-message TTL. */
export const OLDEST_NATS_SERVER = [2, 12] as const;

const run = promisify(execFile);
/** Debian installs servers here, and an ordinary user's PATH often lacks it. */
const MORE_FOLDERS = ["/usr/local/bin", "/usr/sbin", "/opt/homebrew/bin"];
const DEFAULT_FETCHERS: readonly NatsServerFetcher[] = [
  { name: "official release", fetch: fetchReleasedNatsServer },
  { name: "package of a newer Debian or Ubuntu suite", fetch: fetchDebianNatsServer },
];

/** Looks on the PATH, then at the kept copy, then brings one along; throws one message that says what was tried. */
export async function findNatsServer(options: FindNatsServerOptions): Promise<FoundNatsServer> {
  const tried: string[] = [];
  const kept = path.join(options.dir, "bin", "nats-server");
  const candidates = [...(await onSearchPath(options.searchPath ?? process.env["PATH"] ?? "")), kept];
  for (const candidate of candidates) {
    const looked = await look(candidate);
    if (looked.usable) return { path: candidate, version: looked.version };
    if (looked.reason !== undefined) tried.push(looked.reason);
  }
  if (tried.length === 0) tried.push("no nats-server on the PATH");

  for (const fetcher of options.fetchers ?? DEFAULT_FETCHERS) {
    try {
      options.log.info({ from: fetcher.name }, "fetching nats-server, once");
      const found = await fetchInto(kept, fetcher);
      options.log.info({ ...found, from: fetcher.name }, "nats-server is ready");
      return found;
    } catch (error) {
      tried.push(`${fetcher.name}: ${(error as Error).message}`);
    }
  }
  throw new Error(adviceAfter(tried));
}

async function onSearchPath(searchPath: string): Promise<string[]> {
  const folders = new Set([
    ...searchPath.split(path.delimiter).filter((folder) => folder !== ""),
    ...MORE_FOLDERS,
  ]);
  const found: string[] = [];
  for (const folder of folders) {
    const file = path.join(folder, "nats-server");
    if (await isExecutable(file)) found.push(file);
  }
  return found;
}

async function look(
  file: string,
): Promise<{ usable: true; version: string } | { usable: false; reason?: string }> {
  if (!(await isExecutable(file))) return { usable: false };
  let output: string;
  try {
    output = (await run(file, ["--version"], { timeout: 10_000 })).stdout;
  } catch (error) {
    return { usable: false, reason: `${file} does not run: ${firstLine((error as Error).message)}` };
  }
  const version = /v(\d+\.\d+\.\d+\S*)/.exec(output)?.[1];
  if (version === undefined) return { usable: false, reason: `${file} does not tell its version` };
  if (isNewEnough(version)) return { usable: true, version };
  return {
    usable: false,
    reason: `${file} is ${version}, too old: ${OLDEST_NATS_SERVER.join(".")} or newer is needed`,
  };
}

function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_NATS_SERVER;
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

/** Fetches aside and renames into place: two first runs at once each end with a whole file. */
async function fetchInto(kept: string, fetcher: NatsServerFetcher): Promise<FoundNatsServer> {
  const bin = path.dirname(kept);
  const folder = path.join(bin, `fetch-${randomUUID()}`);
  await mkdir(folder, { recursive: true });
  try {
    const draft = path.join(folder, "nats-server.new");
    await copyFile(await fetcher.fetch(folder), draft);
    await chmod(draft, 0o755);
    const looked = await look(draft);
    if (!looked.usable) throw new Error(looked.reason ?? "what was fetched is no program");
    await rename(draft, kept);
    return { path: kept, version: looked.version };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function isExecutable(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function adviceAfter(tried: readonly string[]): string {
  const oldest = OLDEST_NATS_SERVER.join(".");
  return [
    `Egret needs nats-server ${oldest} or newer and could not find or fetch one.`,
    "Tried:",
    ...tried.map((reason) => `  - ${reason}`),
    "Do one of these:",
    "  - Debian 14 (forky), or an Ubuntu as new:  apt-get install nats-server",
    "  - macOS:  brew install nats-server",
    `  - Docker:  docker run -d -p 127.0.0.1:4222:4222 nats:${oldest} -js`,
    "             and then  EGRET_NATS_URL=nats://127.0.0.1:4222",
    "  - any NATS with JetStream that you already run:  EGRET_NATS_URL=nats://host:4222",
  ].join("\n");
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? "";
}
