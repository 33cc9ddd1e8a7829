/** A lock file that names the process which holds a folder, and that the next process takes over when the holder has died. */
import { randomUUID } from "node:crypto";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { identify, isSameAndAlive, type ProcessIdentity, waitUntilGone } from "./processes.ts";

/** A held lock. */
export interface ProcessLock {
  /** Notes the server that runs in the folder, so that whoever comes after a crash waits until it is gone. */
  noteServer(serverPid: number): Promise<void>;
  release(): Promise<void>;
}

interface Holders {
  owner: ProcessIdentity;
  server?: ProcessIdentity;
}

/** A server whose parent was killed is stopped by its guard and needs a moment to close its files. */
const ORPHAN_PATIENCE_MS = 25_000;
const CLAIM_PAUSE_MS = 5;

/** Takes the lock, or throws a message that names the live holder and the next step. */
export async function acquireLock(file: string, holds: string): Promise<ProcessLock> {
  const owner = await identify(process.pid);
  while (!(await tryCreate(file, { owner }))) {
    const found = await readHolders(file);
    if (found === "gone") continue;
    if (found !== "unreadable") await refuseIfHeld(found, holds);
    await removeStale(file, found, owner);
  }
  return {
    async noteServer(serverPid) {
      const draft = `${file}.${randomUUID()}`;
      await writeDraft(draft, { owner, server: await identify(serverPid) });
      await rename(draft, file);
    },
    async release() {
      await rm(file, { force: true });
    },
  };
}

async function refuseIfHeld({ owner, server }: Holders, holds: string): Promise<void> {
  const next = "Stop that process first, or choose another folder.";
  if (await isSameAndAlive(owner)) throw new Error(`${holds} is in use by process ${owner.pid}. ${next}`);
  if (server === undefined || !(await isSameAndAlive(server))) return;
  if (!(await waitUntilGone(server.pid, ORPHAN_PATIENCE_MS))) {
    throw new Error(
      `${holds} is in use by process ${server.pid}, left behind by one that was killed. ${next}`,
    );
  }
}

/** Creates the file with its content in one step: nobody ever sees a half-written lock. */
async function tryCreate(file: string, holders: Holders): Promise<boolean> {
  const draft = `${file}.${randomUUID()}`;
  await writeDraft(draft, holders);
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function writeDraft(draft: string, holders: Holders): Promise<void> {
  await writeFile(draft, JSON.stringify(holders), { mode: 0o600 });
}

async function readHolders(file: string): Promise<Holders | "gone" | "unreadable"> {
  try {
    const holders = JSON.parse(await readFile(file, "utf8")) as Holders;
    return Number.isInteger(holders.owner.pid) ? holders : "unreadable";
  } catch (error) {
    return hasCode(error, "ENOENT") ? "gone" : "unreadable";
  }
}

/**
 * Removes a dead holder's lock. Many may find it dead at once, and a slow one must not remove the lock that a quick one
 * has made since: only who holds the claim removes, and only what it has judged.
 */
async function removeStale(
  file: string,
  dead: Holders | "unreadable",
  owner: ProcessIdentity,
): Promise<void> {
  const claim = `${file}.takeover`;
  if (await tryCreate(claim, { owner })) {
    const isTheDeadOne = JSON.stringify(await readHolders(file)) === JSON.stringify(dead);
    if (isTheDeadOne) await rm(file, { force: true });
    await rm(claim, { force: true });
    return;
  }
  const claimant = await readHolders(claim);
  if (claimant === "gone") return;
  if (claimant !== "unreadable" && (await isSameAndAlive(claimant.owner))) {
    await wait(CLAIM_PAUSE_MS);
    return;
  }
  // The claimant died between two lines of this function: its claim is a stale lock like any other.
  await removeStale(claim, claimant, owner);
}

function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code;
}
