/** Waits until every lifecycle delivery has ended, and shows meanwhile what is still due. */
import type { LogConnection } from "../../log/connection.ts";
import { follow } from "../../log/follow.ts";
import { counted, duration } from "../format.ts";
import type { StatusLine } from "../terminal.ts";
import { CheckFailed } from "./demoChecks.ts";

const REDRAW_MS = 200;

/** @throws CheckFailed when they have not ended in time. */
export async function waitForLifecycle(
  connection: LogConnection,
  { expected, status, timeoutMs }: { expected: number; status: StatusLine; timeoutMs: number },
): Promise<{ delivered: number; dead: number }> {
  const ended = { delivered: 0, dead: 0 };
  const dueAtMs = new Map<string, number>();
  const stop = new AbortController();
  const timeout = setTimeout(() => stop.abort(), timeoutMs);
  const redraw = setInterval(() => {
    const next = Math.min(...dueAtMs.values());
    if (next > Date.now() && next < Infinity) status.update(`  next retry in ${duration(next - Date.now())}`);
  }, REDRAW_MS);
  try {
    const where = { fromSequence: 1, maxBatch: 100, signal: stop.signal, filters: ["*.delivery.webhook.>"] };
    for await (const batch of follow(connection, "deliveries", where)) {
      for (const { event } of batch) {
        if (event.type === "delivery.retrying") dueAtMs.set(event.subject, Date.parse(event.data.due_at));
        else dueAtMs.delete(event.subject);
        if (event.type === "delivery.delivered") ended.delivered += 1;
        if (event.type === "delivery.dead") ended.dead += 1;
      }
      if (ended.delivered + ended.dead >= expected) return ended;
    }
    const done = ended.delivered + ended.dead;
    throw new CheckFailed(
      `${counted(expected, "lifecycle delivery", "lifecycle deliveries")} end in time; ${done} did`,
    );
  } finally {
    clearTimeout(timeout);
    clearInterval(redraw);
    stop.abort();
    status.clear();
  }
}
