/** Looks at other processes by id: whether one lives, what it runs, and whether it is still the one we mean. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";

/** A process, told from a later one that was given the same id. */
export interface ProcessIdentity {
  pid: number;
  /** When it started, in whatever words the system has: only ever compared for equality. */
  startedAt: string;
}

const run = promisify(execFile);
const POLL_MS = 50;

/** Whether a process with this id exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Names a process so that it can be recognised later. */
export async function identify(pid: number): Promise<ProcessIdentity> {
  return { pid, startedAt: await startOf(pid) };
}

/** Whether the process that was identified still runs. */
export async function isSameAndAlive(identity: ProcessIdentity): Promise<boolean> {
  return isAlive(identity.pid) && (await startOf(identity.pid)) === identity.startedAt;
}

/** Resolves to true once the process is gone, to false when it stays longer than that. */
export async function waitUntilGone(pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (isAlive(pid)) {
    if (Date.now() > deadline) return false;
    await wait(POLL_MS);
  }
  return true;
}

/** The command line of a process, or an empty string when it cannot be told. */
export async function commandLineOf(pid: number): Promise<string> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ").trim();
  } catch {
    return await ps(pid, "command=");
  }
}

async function startOf(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field is the name in brackets, which may hold spaces; the start time is the 22nd.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return await ps(pid, "lstart=");
  }
}

async function ps(pid: number, column: string): Promise<string> {
  try {
    return (await run("ps", ["-o", column, "-p", String(pid)])).stdout.trim();
  } catch {
    return "";
  }
}
