/** Asks for a run by a command and waits for what becomes of it. */
import { setTimeout as delay } from "node:timers/promises";
import type { Kysely } from "kysely";
import type { RunAggregate } from "../domain/aggregate.ts";
import { type TriggerCommand, triggerCommandSchema } from "../domain/command.ts";
import { InvalidInput, toError, Unavailable } from "../domain/errors.ts";
import type { EventData } from "../domain/event.ts";
import { publishCommand } from "../log/commands.ts";
import type { Database } from "../projections/database.ts";
import type { OpenLog } from "./reach.ts";

export interface RunRequest {
  workspaceId: number;
  syncId: number;
  isFull: boolean;
  /** Fuses that are passed over this time. */
  allowDeletes?: boolean | undefined;
  allowRejects?: boolean | undefined;
  /** Idempotency key: the same one never makes two runs. */
  id: string;
  reason: string;
  timeoutMs: number;
}

/** What became of a command. */
export type RunAnswer =
  | { kind: "triggered"; run: RunAggregate; sequence: number }
  | { kind: "refused"; refusal: EventData<"command.refused"> }
  | { kind: "silent" };

const FIRST_POLL_MS = 20;
const LONGEST_POLL_MS = 250;
/** What fits a subject and a Nats-Msg-Id as it stands. */
const ID = /^[A-Za-z0-9_-]{1,128}$/;

/** @throws InvalidInput when a key cannot stand in a subject. */
export function checkCommandId(id: string): string {
  if (ID.test(id)) return id;
  throw new InvalidInput("an idempotency key is 1 to 128 letters, digits, _ or -: choose another --id");
}

/**
 * Publishes the command and waits for its run or its refusal. A key that was used before finds the same run again.
 * @throws Unavailable when nothing takes the command.
 */
export async function requestRun(
  { connection, log }: OpenLog,
  db: Kysely<Database>,
  request: RunRequest,
): Promise<RunAnswer> {
  const { workspaceId, syncId, id } = request;
  const payload: TriggerCommand = triggerCommandSchema.parse({
    sync: syncId,
    force_full_sync: request.isFull,
    allow_deletes: request.allowDeletes,
    allow_rejects: request.allowRejects,
    reason: request.reason,
    requested_via: "CLI",
  });
  await publishCommand(connection, { workspaceId, verb: "trigger", payload, id }).catch((cause: unknown) => {
    const text = `NATS did not take the command (${toError(cause).message})`;
    throw new Unavailable(`${text}: was \`egret start\` ever run against this server?`, { cause });
  });
  const deadline = performance.now() + request.timeoutMs;
  for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_POLL_MS)) {
    // The claim in Postgres is there also when the key was used long ago; the event alone says that the run exists.
    const accepted = await db
      .selectFrom("egret.accepted_commands")
      .select("run_id")
      .where("workspace_id", "=", workspaceId)
      .where("command_id", "=", id)
      .executeTakeFirst();
    if (accepted !== undefined) {
      const run: RunAggregate = { kind: "run", workspaceId, syncId, runId: accepted.run_id };
      const first = (await log.load(run))[0];
      if (first !== undefined) return { kind: "triggered", run, sequence: first.sequence };
    } else {
      const refused = await log.last({ kind: "command", workspaceId, commandId: id });
      if (refused?.event.type === "command.refused") return { kind: "refused", refusal: refused.event.data };
    }
    if (performance.now() > deadline) return { kind: "silent" };
    await delay(pauseMs);
  }
}
