/**
 * Starts a server as a child that cannot outlive its parent, also when the parent is killed with -9.
 *
 * A small shell stands between: it holds the read end of a pipe whose only write end is ours. The kernel closes ours
 * however we die, the shell reads end-of-file and stops the server. Portable to every POSIX system, unlike PDEATHSIG.
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";

/** What to run, and how it likes to be told to stop. */
export interface GuardedCommand {
  command: string;
  args: readonly string[];
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** The account to run as; only root may give one. */
  account?: { uid: number; gid: number };
  /** The signal for an orderly end; also sent when the parent has died. */
  stopSignal: "SIGTERM" | "SIGINT";
}

/** How a server ended: one of the two is null. */
export interface ServerExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A running server and the hold on it. */
export interface GuardedServer {
  /** The server's own process id, not the guard's. */
  pid: number;
  /** Signals the server (its own stop signal unless another is named) and waits until it has gone. */
  stop(signal?: NodeJS.Signals): Promise<ServerExit>;
  exited: Promise<ServerExit>;
  /** The last lines the server wrote, for messages about why it ended. */
  stderrTail(): string;
}

const TAIL_BYTES = 8192;
/** An orderly end that takes longer is cut short, so that shutdown never hangs on a server. */
const STOP_PATIENCE_S = 20;

// The shell's own streams: stdin is the pipe to the parent (kept as 3), stdout carries the server's pid and then closes,
// stderr is the server's. `read` is a builtin: killing the watcher leaves nothing behind that would hold the pipe.
const GUARD_SCRIPT = `
signal=$1; patience=$2; shift 2
exec 3<&0
"$@" </dev/null >&2 3<&- &
server=$!
{
  while read -r line; do :; done
  kill -s "$signal" "$server"
  while [ "$patience" -gt 0 ] && kill -0 "$server"; do sleep 1; patience=$((patience - 1)); done
  kill -s KILL "$server"
} <&3 >/dev/null 2>&1 &
watcher=$!
exec 3<&-
echo "$server"
exec >/dev/null
wait "$server"
status=$?
kill "$watcher" 2>/dev/null
wait "$watcher" 2>/dev/null
exit "$status"
`;

/** Starts the command under a guard and resolves once its process exists. */
export async function startGuarded(what: GuardedCommand): Promise<GuardedServer> {
  const { command, args, stopSignal } = what;
  const guard = spawn(
    "/bin/sh",
    ["-c", GUARD_SCRIPT, "egret-guard", stopSignal.slice(3), String(STOP_PATIENCE_S), command, ...args],
    // A process group of its own: Ctrl-C must reach us alone, so that we drain before the servers go.
    { cwd: what.cwd, env: what.env, ...what.account, stdio: ["pipe", "pipe", "pipe"], detached: true },
  );
  // Writing is never done, but the pipe breaking under a dead guard must not become an uncaught error.
  guard.stdin.on("error", () => {});

  let tail = "";
  guard.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    tail = (tail + chunk).slice(-TAIL_BYTES);
  });

  let gone: ServerExit | undefined;
  const exited = new Promise<ServerExit>((resolve, reject) => {
    guard.once("error", (cause) => reject(new Error(`could not start a shell to run ${command}`, { cause })));
    guard.once("close", (code, signal) => {
      gone = asServerExit(code, signal);
      resolve(gone);
    });
  });
  const pid = await Promise.race([readPid(guard.stdout), exited.then(() => undefined)]);
  if (pid === undefined) throw new Error(`${command} could not be started: ${tail.trim()}`);

  return {
    pid,
    exited,
    stderrTail: () => tail.trim(),
    async stop(signal = stopSignal) {
      if (gone !== undefined) return gone;
      sendSignal(pid, signal);
      const patience = setTimeout(() => sendSignal(pid, "SIGKILL"), STOP_PATIENCE_S * 1000);
      try {
        return await exited;
      } finally {
        clearTimeout(patience);
      }
    },
  };
}

async function readPid(stream: NodeJS.ReadableStream): Promise<number | undefined> {
  let text = "";
  for await (const chunk of stream) {
    text += String(chunk);
    if (text.includes("\n")) break;
  }
  const pid = Number(text.trim());
  return Number.isInteger(pid) && pid > 0 ? pid : undefined;
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It went between our look and our signal: what was asked for has happened.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** A shell reports a child ended by signal n as 128 + n. */
function asServerExit(code: number | null, signal: NodeJS.Signals | null): ServerExit {
  if (code === null || code <= 128) return { code, signal };
  const name = Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0];
  return name === undefined ? { code, signal: null } : { code: null, signal: name as NodeJS.Signals };
}
