/** What every embedded server can do: stop, crash on purpose, come back on the same port and data. */
import type { GuardedServer, ServerExit } from "./guard.ts";
import { acquireLock } from "./processLock.ts";

/** A running server that we started. */
export interface EmbeddedServer {
  readonly port: number;
  readonly pid: number;
  /** Resolves when the process has ended, whoever ended it; a restart makes a new promise. */
  readonly exited: Promise<ServerExit>;
  stop(): Promise<void>;
  /** Ends the server as a crash would: nothing is flushed, nobody is told. */
  kill9(): Promise<void>;
  /** Starts it again on the same port and data, after a stop or a crash. */
  restart(): Promise<void>;
}

/** A server process that answers on its port. */
export interface LaunchedServer {
  server: GuardedServer;
  port: number;
}

/** How one kind of server is launched. */
export interface ServerRecipe {
  /** The file that names who holds the data. */
  lockFile: string;
  /** The data, in words for a message: "the NATS folder …". */
  holds: string;
  /** 0 for any free port. */
  port: number;
  /** Starts the process, calls `spawned` as soon as it exists, and resolves once it answers. */
  launch(port: number, spawned: (server: GuardedServer) => Promise<void>): Promise<LaunchedServer>;
}

/** Takes the lock, launches, and resolves once the server answers. */
export async function runEmbeddedServer(recipe: ServerRecipe): Promise<EmbeddedServer> {
  let { running, release } = await lockAndLaunch(recipe, recipe.port);

  async function end(signal?: NodeJS.Signals): Promise<void> {
    await running.server.stop(signal);
    await release();
  }

  return {
    port: running.port,
    get pid() {
      return running.server.pid;
    },
    get exited() {
      return running.server.exited;
    },
    stop: () => end(),
    kill9: () => end("SIGKILL"),
    async restart() {
      await end();
      ({ running, release } = await lockAndLaunch(recipe, running.port));
    },
  };
}

async function lockAndLaunch(
  recipe: ServerRecipe,
  port: number,
): Promise<{ running: LaunchedServer; release: () => Promise<void> }> {
  const lock = await acquireLock(recipe.lockFile, recipe.holds);
  // Once only: a second stop must not take the lock from whoever holds the data by then.
  let released = false;
  async function release(): Promise<void> {
    if (released) return;
    released = true;
    await lock.release();
  }

  let spawned: GuardedServer | undefined;
  try {
    const running = await recipe.launch(port, async (server) => {
      spawned = server;
      await lock.noteServer(server.pid);
    });
    return { running, release };
  } catch (error) {
    await spawned?.stop("SIGKILL");
    await release();
    throw error;
  }
}
