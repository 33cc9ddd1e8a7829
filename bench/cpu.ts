/** How much CPU the processes of a benchmark took, by the kernel's own account; on systems without /proc nothing is told. */
import { readdir, readFile } from "node:fs/promises";

/** Process ids, by the names that the table shows; the server Postgres is its first process and all children of that. */
export type Watched = Record<string, number>;
const WITH_CHILDREN = "Postgres";

/** Milliseconds of CPU by name. */
export type CpuMs = Record<string, number>;

/** The kernel counts in hundredths of a second on every Linux that Node runs on. */
const MS_PER_TICK = 10;

interface Stat {
  parent: number;
  ownMs: number;
  /** Of children that have ended. */
  endedMs: number;
}

/** What each process has used since it started; null without /proc. */
export async function readCpu(watched: Watched): Promise<CpuMs | null> {
  const stats = new Map<number, Stat>();
  const entries = await readdir("/proc").catch(() => []);
  await Promise.all(
    entries.map(async (entry) => {
      const pid = Number(entry);
      if (!Number.isInteger(pid)) return;
      const stat = parseStat(await readFile(`/proc/${pid}/stat`, "latin1").catch(() => ""));
      if (stat !== null) stats.set(pid, stat);
    }),
  );
  if (stats.size === 0) return null;
  const used: CpuMs = {};
  for (const [name, pid] of Object.entries(watched)) {
    used[name] = (stats.get(pid)?.ownMs ?? 0) + (name === WITH_CHILDREN ? childrenOf(pid, stats) : 0);
  }
  return used;
}

function childrenOf(pid: number, stats: ReadonlyMap<number, Stat>): number {
  let sum = stats.get(pid)?.endedMs ?? 0;
  for (const { parent, ownMs } of stats.values()) if (parent === pid) sum += ownMs;
  return sum;
}

function parseStat(text: string): Stat | null {
  // The name in brackets may hold spaces: what follows it has fixed places, the state being the third of all.
  const fields = text
    .slice(text.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
  const [user, system, endedUser, endedSystem] = fields.slice(11, 15);
  if (endedSystem === undefined) return null;
  return {
    parent: fields[1] ?? 0,
    ownMs: ((user ?? 0) + (system ?? 0)) * MS_PER_TICK,
    endedMs: ((endedUser ?? 0) + endedSystem) * MS_PER_TICK,
  };
}

/** What was used between two readings. */
export function cpuBetween(before: CpuMs | null, after: CpuMs | null): CpuMs {
  const used: CpuMs = {};
  for (const [name, ms] of Object.entries(after ?? {})) used[name] = ms - (before?.[name] ?? 0);
  return used;
}

/** Memory that a process has now, bytes; 0 when it cannot be told. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "latin1").catch(() => "");
  return Number(/VmRSS:\s*(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}
