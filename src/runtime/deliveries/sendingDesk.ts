/** Which batches are being sent at this moment, told to whoever asks: what a cancelled run has still to wait for. */
import type { LogConnection } from "../../log/connection.ts";
import type { Target } from "./attempt.ts";

/** The target, with each of its attempts known while it is made. The subscription ends with the connection. */
export function tellSending(connection: LogConnection, target: Target): Target {
  const { nc } = connection;
  const sending = new Map<string, number>();
  nc.subscribe(subjectOf(connection, "*"), {
    callback: (error, message) => {
      if (error !== null) return;
      const prefix = `${message.subject.slice(message.subject.lastIndexOf(".") + 1)}-`;
      message.respond(JSON.stringify([...sending.keys()].filter((id) => id.startsWith(prefix))));
    },
  });
  return {
    ...target,
    async attempt(pending, attempt, context) {
      const { delivery_id: id } = pending;
      sending.set(id, (sending.get(id) ?? 0) + 1);
      try {
        return await target.attempt(pending, attempt, context);
      } finally {
        const left = (sending.get(id) ?? 1) - 1;
        if (left > 0) sending.set(id, left);
        else sending.delete(id);
      }
    },
  };
}

/** Answers come within moments, or from a process that is too busy to be waited for, ms. */
const ANSWERS_MS = 500;

/** Ids of the deliveries of a run that are being sent, over all processes that answer; null when none does. */
export async function askSending(connection: LogConnection, runId: number): Promise<Set<string> | null> {
  const { nc } = connection;
  if (nc.isClosed()) return null;
  const found = new Set<string>();
  let answers = 0;
  const options = { strategy: "timer", maxWait: ANSWERS_MS } as const;
  try {
    for await (const message of await nc.requestMany(subjectOf(connection, runId), "", options)) {
      answers += 1;
      for (const id of message.json<string[]>()) found.add(id);
    }
  } catch {
    // Nobody listens, or the connection is being made anew: then nothing is known.
    return null;
  }
  return answers === 0 ? null : found;
}

function subjectOf({ topology }: LogConnection, runId: number | "*"): string {
  return `${topology.prefix}.hints.sending.${runId}`;
}
