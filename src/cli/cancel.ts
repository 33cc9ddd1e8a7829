/** `egret cancel <run>`: stops a run; what it sent by then stays sent. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Command } from "commander";
import type { RunAggregate, TrialAggregate } from "../domain/aggregate.ts";
import { InvalidInput } from "../domain/errors.ts";
import type { AnyEvent, EventData } from "../domain/event.ts";
import { ask } from "./askCommand.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { TimedOut } from "./failures.ts";
import { count } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { findServices, type OpenLog, type ReachOptions, withLog, withReachOptions } from "./reach.ts";
import { findAnyRun, parseRunId } from "./runInLog.ts";
import { paint, print, printJson } from "./terminal.ts";
import { isLastEvent } from "./watchRun.ts";

interface CancelOptions extends ReachOptions {
  timeout: number;
  wait: boolean;
  json?: boolean;
}

const LOOK_EVERY_MS = 100;

/** The command. */
export function cancelCommand(): Command {
  const command = new Command("cancel")
    .description("stop a run; requests under way end and count, nothing new is sent")
    .argument("<run>", "id of the run, see `egret runs`")
    .option("--no-wait", "do not wait for the run's end")
    .option(
      "--timeout <seconds>",
      "how long to wait for the worker, and then for the end",
      wholeNumber(1, 86_400),
      60,
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret cancel 7011`);
  return withReachOptions(command).action((id: string, options: CancelOptions) => cancel(id, options));
}

async function cancel(id: string, options: CancelOptions): Promise<void> {
  const runId = parseRunId(id);
  const reach = await findServices(options);
  await withLog(reach, async (open) => {
    const run = await findAnyRun(open.connection, runId);
    const timeoutMs = options.timeout * 1_000;
    await requestCancel(open, run, timeoutMs);
    const last = options.wait ? await ended(open, run, timeoutMs) : null;
    if (options.json === true) printJson({ run_id: runId, ...resultOf(last) });
    else print(`run ${runId} ${last === null ? "is being canceled" : wordsOf(last)}`);
  });
}

/** Until the wish stands in the run's history. */
async function requestCancel(
  { connection, log }: OpenLog,
  run: RunAggregate | TrialAggregate,
  timeoutMs: number,
): Promise<void> {
  const payload = { run: run.runId, requested_via: "CLI" };
  const command = { workspaceId: run.workspaceId, verb: "cancel", payload, id: randomUUID() } as const;
  const before = (await log.last(run))?.event;
  // Of a run that has ended the refusal is waited for, whatever its history says.
  const isOver = before !== undefined && isLastEvent(before);
  const refusal = await ask({ connection, log }, command, {
    timeoutMs,
    isDone: async () => !isOver && (await log.load(run)).some(({ event }) => isCanceled(event)),
  });
  if (refusal === null) return;
  throw new InvalidInput(`refused (${refusal.code}): ${refusal.message}`);
}

function isCanceled(event: AnyEvent): boolean {
  return event.type === "sync.cancel_requested" || (event.type === "trial.failed" && event.data.canceled);
}

async function ended(
  { log }: OpenLog,
  run: RunAggregate | TrialAggregate,
  timeoutMs: number,
): Promise<EventData<"sync.completed"> | EventData<"trial.failed">> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const events = (await log.load(run)).map(({ event }) => event);
    const last = events.at(-1);
    if (last !== undefined && isLastEvent(last)) {
      const end = events.findLast(({ type }) => type === "sync.completed" || type === "trial.failed");
      if (end?.type === "sync.completed" || end?.type === "trial.failed") return end.data;
    }
    if (performance.now() > deadline) {
      throw new TimedOut(
        `run ${run.runId} is to be canceled, and has not ended within ${Math.round(timeoutMs / 1_000)} s: is \`egret start\` ` +
          "with the role `worker` running? It ends by itself as soon as a worker has seen to it.",
      );
    }
    await delay(LOOK_EVERY_MS);
  }
}

function resultOf(end: Awaited<ReturnType<typeof ended>> | null): object {
  if (end === null) return { status: "canceling" };
  const { sync_run_id: _run, ...rest } = end;
  return { ...rest, status: "canceled" };
}

function wordsOf(end: Awaited<ReturnType<typeof ended>>): string {
  const sent = "records_updated" in end ? end.records_updated : null;
  const rows = sent === null ? "nothing was sent" : `${count(sent)} rows were accepted before`;
  return `is ${paint("yellow", "canceled")}; ${rows}`;
}
