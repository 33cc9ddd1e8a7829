/** The end of a cancelled run's sending: nothing new starts, and the requests that are under way end and count. */
import { setTimeout as delay } from "node:timers/promises";
import type { DeliveryAggregate } from "../../domain/aggregate.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { EventLog } from "../../log/eventLog.ts";
import { askSending } from "../deliveries/sendingDesk.ts";
import { batchDeliveryId } from "./loading.ts";
import type { RunHistory } from "./runActor.ts";
import type { PlannedBatch, RunSession } from "./runSession.ts";

/** What draining needs to know of a run. */
export interface Draining {
  connection: LogConnection;
  history: RunHistory;
  session: Pick<RunSession, "openBatches" | "stillOpen" | "withdraw">;
  log: EventLog;
  destinationId: number;
  /** How long the destination has for one batch, ms. */
  timeoutMs: number;
  signal: AbortSignal;
}

/** Batches looked up at once; more than are deliveries at one time. */
const CHUNK = 64;
/** For the outcome of a request that has ended to be written down, ms. */
const GRACE_MS = 2_000;
const LOOK_EVERY_MS = 50;

/**
 * Takes the bytes from batches that are deliveries already, so that no attempt of them begins any more, and waits for
 * those that have begun: no longer than a request may take.
 */
export async function drainBatches(draining: Draining): Promise<void> {
  const { session, timeoutMs, signal } = draining;
  const fed = await fedBatches(draining);
  if (fed.length === 0) return;
  await session.withdraw(fed.map(({ batchNo }) => batchNo));
  const quiet = new Quiet(draining);
  const deadline = performance.now() + timeoutMs + GRACE_MS;
  let waiting = fed;
  try {
    while (performance.now() < deadline) {
      const open = new Set(await session.stillOpen(waiting.map(({ batchNo }) => batchNo)));
      const mayBeUnderWay = await Promise.all(
        waiting.map(async (batch) => open.has(batch.batchNo) && !(await isAsleep(draining, batch))),
      );
      waiting = waiting.filter((_batch, index) => mayBeUnderWay[index]);
      if (waiting.length === 0 || quiet.forMs >= GRACE_MS) return;
      await delay(LOOK_EVERY_MS, undefined, { signal });
    }
  } finally {
    quiet.close();
  }
}

/**
 * How long no process has been sending a batch of the run. Those that wait for a paused or limited destination would
 * else be taken for requests under way.
 */
class Quiet {
  #since: number | null = null;
  #isClosed = false;

  constructor({ connection, history }: Draining) {
    void this.#ask(connection, history.aggregate.runId);
  }

  get forMs(): number {
    return this.#since === null ? 0 : performance.now() - this.#since;
  }

  close(): void {
    this.#isClosed = true;
  }

  async #ask(connection: LogConnection, runId: number): Promise<void> {
    while (!this.#isClosed) {
      const sending = await askSending(connection, runId);
      if (sending === null || sending.size > 0) this.#since = null;
      else this.#since ??= performance.now();
      if (sending === null) await delay(LOOK_EVERY_MS);
    }
  }
}

/** Batches without an outcome that are deliveries: they were fed in their order, so the first ones of the plan. */
async function fedBatches(draining: Draining): Promise<PlannedBatch[]> {
  const fed: PlannedBatch[] = [];
  for (;;) {
    const batches = await draining.session.openBatches(fed.at(-1)?.batchNo ?? 0, CHUNK);
    const known = await Promise.all(
      batches.map(async (batch) => (await draining.log.last(deliveryOf(draining, batch))) !== null),
    );
    fed.push(...batches.filter((_batch, index) => known[index]));
    if (known.length < CHUNK || !known.every(Boolean)) return fed;
  }
}

/** True while the delivery waits for its next attempt: none is under way, and none will begin without its bytes. */
async function isAsleep(draining: Draining, batch: PlannedBatch): Promise<boolean> {
  const last = (await draining.log.last(deliveryOf(draining, batch)))?.event;
  return last?.type === "delivery.retrying" && Date.parse(last.data.due_at) > Date.now();
}

function deliveryOf({ history, destinationId }: Draining, batch: PlannedBatch): DeliveryAggregate {
  const { workspaceId, runId } = history.aggregate;
  const deliveryId = batchDeliveryId(runId, batch.name ?? batch.batchNo);
  return { kind: "delivery", workspaceId, targetKind: "destination", targetId: destinationId, deliveryId };
}
