/** Takes commands: a valid trigger becomes a run, anything else is refused with an event that says why. */
import type { JsMsg } from "@nats-io/jetstream";
import type { Logger } from "pino";
import { SYNC_RUN_MACHINE } from "../../machines/syncRun.ts";
import type { TriggerCommand } from "../domain/command.ts";
import { InvalidInput, toError, VersionConflict } from "../domain/errors.ts";
import type { EventData } from "../domain/event.ts";
import { cleanTraceparent } from "../domain/traceparent.ts";
import { parseCommand } from "../log/commands.ts";
import type { LogConnection } from "../log/connection.ts";
import { type EventLog, NEW_AGGREGATE } from "../log/eventLog.ts";
import { CONSUMERS } from "../log/topology.ts";
import { begin } from "./actor.ts";
import { sha256Hex } from "./deliveryActor.ts";
import { runBehaviour } from "./runActor.ts";
import { NO_TRACING, type Tracing } from "./tracing.ts";
import { startWorkQueue, type WorkQueue, type WorkResult } from "./workQueue.ts";

/** What the command worker asks of the configuration and of the engine. */
export interface TriggerDesk {
  findSync(workspaceId: number, nameOrId: string | number): Promise<{ id: number; name: string } | null>;
  /** Names of the syncs of a workspace, for the message about an unknown one. */
  syncNames(workspaceId: number): Promise<string[]>;
  /** Claims the sync for a new run, or says which run has it; the same answer for the same command. */
  acceptTrigger(claim: {
    workspaceId: number;
    commandId: string;
    syncId: number;
  }): Promise<{ kind: "accepted"; runId: number } | { kind: "busy"; runId: number }>;
}

export interface CommandWorkerOptions {
  connection: LogConnection;
  log: EventLog;
  desk: TriggerDesk;
  logger: Logger;
  tracing?: Tracing;
}

const COMMAND_CONCURRENCY = 8;
/** What fits a subject token and a Nats-Msg-Id alike. */
const TOKEN = /^[A-Za-z0-9_-]{1,128}$/;

/** Starts the command worker; several may share the queue. */
export function startCommandWorker(options: CommandWorkerOptions): WorkQueue {
  return startWorkQueue({
    connection: options.connection,
    stream: options.connection.topology.commandStream,
    consumer: CONSUMERS.commands,
    concurrency: () => COMMAND_CONCURRENCY,
    logger: options.logger,
    handle: (message) => handleCommand(options, message),
  });
}

/** The id under which a command is known: its Nats-Msg-Id, hashed when it cannot stand in a subject, or its place. */
export function commandIdOf(message: Pick<JsMsg, "headers" | "seq">): string {
  const id = message.headers?.get("Nats-Msg-Id") ?? "";
  if (id === "") return `seq-${message.seq}`;
  return TOKEN.test(id) ? id : `sha256-${sha256Hex(id).slice(0, 32)}`;
}

async function handleCommand(options: CommandWorkerOptions, message: JsMsg): Promise<WorkResult> {
  const commandId = commandIdOf(message);
  const span = (options.tracing ?? NO_TRACING).command(
    cleanTraceparent(message.headers?.get("traceparent")),
    { subject: message.subject, id: commandId, bytes: message.data.length },
  );
  const { traceparent } = span;
  const refuse = async (refusal: Refusal) => {
    const result = await refuseCommand(options, message, { commandId, traceparent, ...refusal });
    span.end({ error: refusal.code });
    return result;
  };
  try {
    const { workspaceId, payload } = parseCommand(message.subject, message.data);
    const sync = await options.desk.findSync(workspaceId, payload.sync);
    if (sync === null) {
      const known = (await options.desk.syncNames(workspaceId)).join(", ") || "none";
      const text = `sync: there is no sync ${JSON.stringify(payload.sync)} in workspace ${workspaceId}; known: ${known}`;
      return await refuse({ code: "UNKNOWN_SYNC", message: text });
    }
    const claim = await options.desk.acceptTrigger({ workspaceId, commandId, syncId: sync.id });
    if (claim.kind === "busy") {
      const text = `sync ${sync.name} is running as run ${claim.runId}: wait for its end, then trigger again`;
      return await refuse({ code: "ALREADY_RUNNING", message: text, runId: claim.runId });
    }
    await appendTriggered(options.log, {
      workspaceId,
      sync,
      runId: claim.runId,
      commandId,
      command: payload,
      traceparent,
    });
    span.end({ facts: { "egret.sync.id": sync.id, "egret.run.id": claim.runId } });
    return { kind: "done" };
  } catch (error) {
    if (error instanceof InvalidInput) return refuse({ code: "INVALID_COMMAND", message: error.message });
    span.end({ error: toError(error).name });
    throw error;
  }
}

async function appendTriggered(
  log: EventLog,
  run: {
    workspaceId: number;
    sync: { id: number; name: string };
    runId: number;
    commandId: string;
    command: TriggerCommand;
    traceparent: string | undefined;
  },
): Promise<void> {
  const { workspaceId, sync, runId, commandId, command, traceparent } = run;
  const data: EventData<"sync.triggered"> = {
    workspace_id: workspaceId,
    sync_id: sync.id,
    sync_run_id: runId,
    command_id: commandId,
    sync_name: sync.name,
    force_full_sync: command.force_full_sync,
    sync_trigger_reason: {
      ui_tag: command.requested_via === "CLI" ? "Manual" : command.requested_via,
      ui_detail: command.reason ?? `command ${commandId}`,
    },
  };
  const { state } = begin(runBehaviour, undefined);
  const draft = { type: "sync.triggered", machine: SYNC_RUN_MACHINE, state, data, traceparent } as const;
  try {
    await log.append({ kind: "run", workspaceId, syncId: sync.id, runId }, draft, NEW_AGGREGATE);
  } catch (error) {
    // The run is there already: this command came before, and its worker died between append and ack.
    if (!(error instanceof VersionConflict)) throw error;
  }
}

interface Refusal {
  code: EventData<"command.refused">["code"];
  message: string;
  runId?: number;
}

async function refuseCommand(
  { log, logger }: CommandWorkerOptions,
  message: JsMsg,
  {
    commandId,
    code,
    message: text,
    runId,
    traceparent,
  }: Refusal & { commandId: string; traceparent: string | undefined },
): Promise<WorkResult> {
  const workspaceId = Number(message.subject.split(".").at(-3));
  const known = Number.isSafeInteger(workspaceId) && workspaceId > 0 ? workspaceId : 1;
  const data: EventData<"command.refused"> = {
    workspace_id: known,
    command_id: commandId,
    subject: message.subject,
    code,
    message: text,
    sync_run_id: runId ?? null,
  };
  try {
    await log.append(
      { kind: "command", workspaceId: known, commandId },
      { type: "command.refused", machine: null, state: "refused", data, traceparent },
      NEW_AGGREGATE,
    );
  } catch (error) {
    if (!(error instanceof VersionConflict)) throw error;
  }
  logger.warn({ command: commandId, code, subject: message.subject, reason: text }, "command.refused");
  return { kind: "refused", reason: code };
}
