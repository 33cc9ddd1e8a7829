/** Runs a real Postgres on the loopback interface, as a child that dies with us, also where we are root. */
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Client } from "pg";
import type { EmbeddedLog } from "./embeddedLog.ts";
import { type EmbeddedServer, type LaunchedServer, runEmbeddedServer } from "./embeddedServer.ts";
import { type GuardedServer, type ServerExit, startGuarded } from "./guard.ts";
import { type PostgresHome, settlePostgresHome } from "./postgresAccount.ts";
import { findPostgresBinaries } from "./postgresBinaries.ts";
import { ensureCluster, POSTGRES_USER, recoverPidFile } from "./postgresCluster.ts";

/** Where Postgres keeps its data, and how safely. */
export interface PostgresOptions {
  dataDir: string;
  log: EmbeddedLog;
  /** 0, the default, takes a free one. */
  port?: number;
  /** For tests: nothing is flushed to the disk, a crash of the machine loses the cluster. */
  fast?: boolean;
}

/** A running Postgres. */
export interface EmbeddedPostgres extends EmbeddedServer {
  /** A connection string for a database, `postgres` unless another is named. */
  url(database?: string): string;
  /** Where the data really is: an account that cannot enter the folder asked for keeps it elsewhere. */
  dataDir: string;
}

const READY_TIMEOUT_MS = 60_000;
const POLL_MS = 25;
const PORT_ATTEMPTS = 5;
/** The processes of a killed Postgres notice its end one by one, and hold its shared memory until they have. */
const CRASH_ATTEMPTS = 100;
const CRASH_PAUSE_MS = 100;

/** Makes the cluster when there is none, starts Postgres, and resolves once it answers a query. */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const wanted = path.resolve(options.dataDir);
  await mkdir(path.dirname(wanted), { recursive: true, mode: 0o700 });
  const home = await settlePostgresHome(await findPostgresBinaries(), wanted, options.log);
  let password = "";
  const server = await runEmbeddedServer({
    lockFile: `${home.dataDir}.lock`,
    holds: `the Postgres folder ${home.dataDir}`,
    port: options.port ?? 0,
    async launch(port, spawned) {
      password = await ensureCluster(home, options.fast === true);
      await recoverPidFile(home);
      const launched = await launch({ home, port, password, isFast: options.fast === true }, spawned);
      options.log.info({ pid: launched.server.pid, port: launched.port }, "Postgres is up");
      return launched;
    },
  });
  return Object.defineProperties(server as EmbeddedPostgres, {
    url: { value: (database = "postgres") => urlOf(server.port, password, database), enumerable: true },
    dataDir: { value: home.dataDir, enumerable: true },
  });
}

interface Launch {
  home: PostgresHome;
  port: number;
  password: string;
  isFast: boolean;
}

async function launch(
  what: Launch,
  spawned: (server: GuardedServer) => Promise<void>,
): Promise<LaunchedServer> {
  for (let attempt = 1; ; attempt += 1) {
    const port = what.port === 0 ? await freePort() : what.port;
    const server = await startGuarded({
      ...commandFor(what, port),
      cwd: what.home.dataDir,
      env: { ...process.env, LC_ALL: "C", TZ: "UTC" },
      // The fast shutdown: open transactions are rolled back, a checkpoint is written.
      stopSignal: "SIGINT",
      ...(what.home.account && { account: { uid: what.home.account.uid, gid: what.home.account.gid } }),
    });
    await spawned(server);
    const ended = await untilReady(server, urlOf(port, what.password, "postgres"));
    if (ended === undefined) return { server, port };

    const said = server.stderrTail();
    // Between our look for a free port and Postgres' bind another process may have taken it.
    if (/could not (bind|create any TCP)/.test(said) && what.port === 0 && attempt < PORT_ATTEMPTS) continue;
    if (/shared memory block .* still in use/.test(said) && attempt < CRASH_ATTEMPTS) {
      await wait(CRASH_PAUSE_MS);
      continue;
    }
    throw new Error(`Postgres ended while starting: ${reasonIn(said)}`);
  }
}

function commandFor({ home, isFast }: Launch, port: number): { command: string; args: string[] } {
  const settings = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    // A socket path has a length limit that a deep checkout breaks, and nothing of ours needs one.
    unix_socket_directories: "",
    max_connections: "200",
    shared_buffers: isFast ? "128MB" : "256MB",
    timezone: "UTC",
    log_timezone: "UTC",
    ...(isFast ? { fsync: "off", synchronous_commit: "off", full_page_writes: "off" } : {}),
  };
  const [command = "", ...args] = [
    ...home.prefix,
    home.binaries.postgres,
    "-D",
    home.dataDir,
    ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
  return { command, args };
}

/** Resolves to nothing once a query is answered, or to how the server ended before that. */
async function untilReady(server: GuardedServer, url: string): Promise<ServerExit | undefined> {
  let ended: ServerExit | undefined;
  void server.exited.then((exit) => {
    ended = exit;
  });
  const deadline = Date.now() + READY_TIMEOUT_MS;
  let last: unknown;
  while (Date.now() < deadline) {
    if (ended !== undefined) return ended;
    try {
      await assertAnswers(url, server.pid);
      return undefined;
    } catch (error) {
      last = error;
      await wait(POLL_MS);
    }
  }
  throw new Error(`Postgres did not answer: ${reasonIn(server.stderrTail())}`, { cause: last });
}

async function assertAnswers(url: string, pid: number): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query("select 1");
  } catch (cause) {
    throw new Error(`no answer from process ${pid}`, { cause });
  } finally {
    await client.end().catch(() => {});
  }
}

function urlOf(port: number, password: string, database: string): string {
  return `postgres://${POSTGRES_USER}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
}

async function freePort(): Promise<number> {
  const probe = createServer();
  return await new Promise((resolve, reject) => {
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** The server's own words: its last fatal line, else the last line. */
function reasonIn(stderr: string): string {
  const lines = stderr.split("\n");
  return lines.findLast((line) => /FATAL|PANIC|ERROR/.test(line)) ?? lines.at(-1) ?? "no reason given";
}
