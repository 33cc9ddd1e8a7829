/** Publishes a command and waits until it is seen to have been taken, or refused. */
import { setTimeout as delay } from "node:timers/promises";
import type { CommandVerb } from "../domain/command.ts";
import { toError, Unavailable } from "../domain/errors.ts";
import type { EventData } from "../domain/event.ts";
import { publishCommand } from "../log/commands.ts";
import { TimedOut } from "./failures.ts";
import type { OpenLog } from "./reach.ts";

/** What is asked for; `id` is the idempotency key. */
export interface AskedCommand {
  workspaceId: number;
  verb: CommandVerb;
  payload: unknown;
  id: string;
}

const FIRST_POLL_MS = 10;
const LONGEST_POLL_MS = 250;

/**
 * Null once `isDone` says that the command did what it should, or the refusal.
 * @throws TimedOut when nothing takes the command; Unavailable when NATS does not.
 */
export async function ask(
  { connection, log }: OpenLog,
  command: AskedCommand,
  { timeoutMs, isDone }: { timeoutMs: number; isDone(): Promise<boolean> },
): Promise<EventData<"command.refused"> | null> {
  await publishCommand(connection, command).catch((cause: unknown) => {
    const text = `NATS did not take the command (${toError(cause).message})`;
    throw new Unavailable(`${text}: was \`egret start\` ever run against this server?`, { cause });
  });
  const { workspaceId, id: commandId } = command;
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_POLL_MS)) {
    const refused = await log.last({ kind: "command", workspaceId, commandId });
    if (refused?.event.type === "command.refused") return refused.event.data;
    if (await isDone()) return null;
    if (performance.now() > deadline) {
      throw new TimedOut(
        `nothing took the command within ${Math.round(timeoutMs / 1_000)} s: is \`egret start\` with the role \`worker\` ` +
          `running? The command waits in the queue as ${commandId} and is done as soon as one does.`,
      );
    }
    await delay(pauseMs);
  }
}
