/** Runs a real nats-server with JetStream on the loopback interface, as a child that dies with us. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "nats";
import type { EmbeddedLog } from "./embeddedLog.ts";
import { type EmbeddedServer, type LaunchedServer, runEmbeddedServer } from "./embeddedServer.ts";
import { type GuardedServer, type ServerExit, startGuarded } from "./guard.ts";

/** What to run, and where it keeps its streams. */
export interface NatsServerOptions {
  binary: string;
  storeDir: string;
  log: EmbeddedLog;
  /** 0, the default, lets the server choose a free one. */
  port?: number;
  /** Flush every append to the disk before it is acknowledged. */
  syncAlways?: boolean;
}

/** A running nats-server. */
export interface EmbeddedNatsServer extends EmbeddedServer {
  readonly url: string;
}

/**
 * Half of the machine: the other half is ours and Postgres's. With a thread on each of two processors the server spends a
 * fifth of its time on handing work from one to the other, and takes ours away while the other is idle.
 */
const PROCESSORS = Math.max(1, availableParallelism() >> 1);

const READY_TIMEOUT_MS = 30_000;
const POLL_MS = 20;
const TEST_WINDOW_MS = 2_000;

/** Starts the server and resolves once JetStream answers over a real connection. */
export async function startNatsServer(options: NatsServerOptions): Promise<EmbeddedNatsServer> {
  const storeDir = path.resolve(options.storeDir);
  await mkdir(storeDir, { recursive: true, mode: 0o700 });
  const server = await runEmbeddedServer({
    lockFile: path.join(storeDir, "server.lock"),
    holds: `the NATS folder ${storeDir}`,
    port: options.port ?? 0,
    launch: (port, spawned) => launch({ ...options, storeDir, port }, spawned),
  });
  return Object.defineProperty(server, "url", {
    value: `nats://127.0.0.1:${server.port}`,
    enumerable: true,
  }) as EmbeddedNatsServer;
}

async function launch(
  options: NatsServerOptions & { port: number },
  spawned: (server: GuardedServer) => Promise<void>,
): Promise<LaunchedServer> {
  const { binary, storeDir, log } = options;
  const config = path.join(storeDir, "nats-server.conf");
  await writeFile(config, configFor(options), { mode: 0o600 });
  const server = await startGuarded({
    command: binary,
    args: ["--config", config],
    cwd: storeDir,
    env: { GOMAXPROCS: String(PROCESSORS), ...process.env },
    stopSignal: "SIGTERM",
  });
  await spawned(server);
  const port = await untilReady(server, storeDir);
  log.info({ pid: server.pid, port }, "nats-server is up");
  return { server, port };
}

/** JSON is a valid configuration file, and its strings need no other quoting. */
function configFor({ storeDir, syncAlways, port }: NatsServerOptions & { port: number }): string {
  const config = {
    host: "127.0.0.1",
    // -1 is the server's own word for "any free port": it binds before it tells, so nobody can take the port between.
    port: port === 0 ? -1 : port,
    ports_file_dir: storeDir,
    server_name: "egret-embedded",
    jetstream: {
      store_dir: storeDir,
      max_memory_store: 256 * 1024 ** 2,
      // A ceiling for what streams may reserve, not an allocation: each stream has its own bound.
      max_file_store: 1024 ** 4,
      ...(syncAlways === true ? { sync_interval: "always" } : {}),
    },
  };
  return JSON.stringify(config, undefined, 2);
}

async function untilReady(server: GuardedServer, storeDir: string): Promise<number> {
  const portsFile = path.join(storeDir, `nats-server_${server.pid}.ports`);
  const deadline = Date.now() + READY_TIMEOUT_MS;
  let ended: ServerExit | undefined;
  void server.exited.then((exit) => {
    ended = exit;
  });
  let last: unknown;
  while (Date.now() < deadline) {
    if (ended !== undefined)
      throw new Error(`nats-server ended while starting: ${reasonIn(server.stderrTail())}`);
    try {
      const port = await readPort(portsFile);
      await assertJetStream(port);
      await rm(portsFile, { force: true });
      return port;
    } catch (error) {
      last = error;
      await wait(POLL_MS);
    }
  }
  throw new Error(`nats-server did not answer: ${reasonIn(server.stderrTail())}`, { cause: last });
}

async function readPort(portsFile: string): Promise<number> {
  const { nats } = JSON.parse(await readFile(portsFile, "utf8")) as { nats: string[] };
  return Number(new URL(nats[0] ?? "").port);
}

async function assertJetStream(port: number): Promise<void> {
  const connection = await connect({
    servers: `127.0.0.1:${port}`,
    reconnect: false,
    timeout: TEST_WINDOW_MS,
  });
  try {
    await (await jetstreamManager(connection, { timeout: TEST_WINDOW_MS })).getAccountInfo();
  } finally {
    await connection.close();
  }
}

/** The server's own words: its last fatal or error line, else the last line. */
function reasonIn(stderr: string): string {
  const lines = stderr.split("\n");
  return (
    lines.findLast((line) => /\[(FTL|ERR)\]|nats-server:/.test(line)) ?? lines.at(-1) ?? "no reason given"
  );
}
