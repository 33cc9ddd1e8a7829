/** Follows a run of a server to its end by asking for it again and again. */
import { setTimeout as delay } from "node:timers/promises";
import type { Client, Schemas } from "../../client/client.ts";
import { NotFound } from "../../domain/errors.ts";
import { TimedOut } from "../failures.ts";
import type { RunScreen } from "../runScreen.ts";
import { orNull } from "./openRemote.ts";

/** Far enough apart for the rate limit of a token, near enough for whoever watches, ms. */
const LOOK_EVERY_MS = 500;

/** How long is waited for what. */
export interface Patience {
  /** Until a worker takes it up, ms. */
  startTimeoutMs?: number;
  /** Until its end, ms. */
  endTimeoutMs?: number;
}

/** @throws NotFound when the server has no such run. */
export async function readRun(client: Client, id: number): Promise<Schemas["SyncRun"]> {
  const answer = await orNull(client.getSyncRun({ path: { id } }));
  if (answer === null) throw new NotFound(`there is no run ${id}; \`egret runs\` lists the latest`);
  return answer.data;
}

/**
 * The run once it has ended.
 * @throws TimedOut when that takes longer than there is patience.
 */
export async function followRun(
  client: Client,
  id: number,
  { screen, startTimeoutMs = Infinity, endTimeoutMs = Infinity }: Patience & { screen: RunScreen | null },
): Promise<Schemas["SyncRun"] & { completed_at: string }> {
  const began = performance.now();
  for (;;) {
    const run = await readRun(client, id);
    const { completed_at, created_at, updated_at, current_step: step = run.status, progress } = run;
    const sinceMs = Date.parse(updated_at) - Date.parse(created_at);
    screen?.onPolled({ step, sinceMs, progress: completed_at === null ? progress : null });
    if (completed_at !== null) {
      screen?.onEnd();
      return { ...run, completed_at };
    }
    const waitedMs = performance.now() - began;
    if (run.started_at === null && waitedMs > startTimeoutMs)
      throw new TimedOut(words(id, "taken up", startTimeoutMs));
    if (waitedMs > endTimeoutMs) throw new TimedOut(words(id, "ended", endTimeoutMs));
    await delay(LOOK_EVERY_MS);
  }
}

function words(id: number, what: string, ms: number): string {
  return (
    `run ${id} was accepted and has not ${what === "ended" ? "" : "been "}${what} within ${Math.round(ms / 1_000)} s: does a ` +
    "worker run on the server? It goes on by itself as soon as one does."
  );
}
