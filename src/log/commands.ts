/** Commands: requests from outside, published to a work queue of their own. */
import { headers } from "nats";
import { COMMAND_SCHEMAS, type CommandPayload, type CommandVerb } from "../domain/command.ts";
import { type FieldProblem, InvalidInput, toError } from "../domain/errors.ts";
import type { LogConnection } from "./connection.ts";

/** A command as it was read from the queue. */
export interface ReceivedCommand {
  workspaceId: number;
  verb: CommandVerb;
  /** Of that verb. */
  payload: CommandPayload<CommandVerb>;
}

/**
 * Publishes a command; publishing it again with the same `id` within two minutes changes nothing. With a
 * `traceparent`, all that comes of it belongs to that trace.
 */
export async function publishCommand(
  { js, topology }: LogConnection,
  command: {
    workspaceId: number;
    verb: CommandVerb;
    payload: unknown;
    id: string;
    traceparent?: string | undefined;
  },
): Promise<{ duplicate: boolean }> {
  const sent = headers();
  if (command.traceparent !== undefined) sent.set("traceparent", command.traceparent);
  const subject = topology.command(command.workspaceId, command.verb);
  const ack = await js.publish(subject, JSON.stringify(command.payload), {
    msgID: command.id,
    headers: sent,
    timeout: 10_000,
  });
  return { duplicate: ack.duplicate };
}

/**
 * The command in a message's subject and bytes.
 * @throws InvalidInput naming each field and its fix; such a command is refused for good.
 */
export function parseCommand(subject: string, bytes: Uint8Array): ReceivedCommand {
  const [workspace, noun, verb] = subject.split(".").slice(-3);
  const workspaceId = Number(workspace);
  if (!Number.isSafeInteger(workspaceId) || workspaceId < 1) {
    throw new InvalidInput(
      `the subject ${subject} names no workspace id: publish to <prefix>.commands.<id>.sync.trigger`,
    );
  }
  if (noun !== "sync" || verb === undefined || !Object.hasOwn(COMMAND_SCHEMAS, verb)) {
    const known = Object.keys(COMMAND_SCHEMAS).join(", ");
    throw new InvalidInput(`the subject ${subject} names no known command: known are sync.{${known}}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new InvalidInput(`the command is not JSON in UTF-8: ${toError(cause).message}`, [], { cause });
  }
  const parsed = COMMAND_SCHEMAS[verb as CommandVerb].safeParse(value);
  if (!parsed.success) {
    const problems: FieldProblem[] = parsed.error.issues.map(({ path, message }) => ({
      field: path.join(".") || "(root)",
      message,
    }));
    const text = problems.map(({ field, message }) => `${field}: ${message}`).join("; ");
    throw new InvalidInput(`the command does not fit its schema: ${text}`, problems);
  }
  return { workspaceId, verb: verb as CommandVerb, payload: parsed.data };
}
