/** `egret calls <sync>`: the latest requests to a sync's destination and what was answered, live where one wants. */
import { setTimeout as delay } from "node:timers/promises";
import { Command } from "commander";
import { type DestinationCall, LATEST_CALLS } from "../projections/calls.ts";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import { headerLine, printable } from "./exchangeLines.ts";
import { bytes, clock, dayAndTime, duration } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { complain, isTerminal, paint, print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface CallsOptions extends DeskOptions {
  run?: number;
  workspace?: string;
  limit: number;
  full?: boolean;
  follow?: boolean;
  json?: boolean;
}

const POLL_MS = 1_000;
/** Calls shown of one poll at most, the latest ones. */
const MOST_AT_ONCE = 1_000;
/** So long after its end a call may be kept only: its chunk gathers, or waits for Postgres. */
const LATE_MS = 30_000;

/** The command. */
export function callsCommand(): Command {
  const command = new Command("calls")
    .description("show the latest requests to a sync's destination, and the answers")
    .argument("<sync>", "name or id of the sync")
    .option("--run <id>", "only those of this run", wholeNumber(1, 999_999_999_999_999))
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--limit <count>", "how many", wholeNumber(1, MOST_AT_ONCE), LATEST_CALLS)
    .option("--full", "with headers and bodies")
    .option("--follow", "then show those that come, until Ctrl-C")
    .option("--json", "print one JSON object a line")
    .addHelpText(
      "after",
      "\nShows up to 7 days, within EGRET_EXCHANGE_RETENTION_DAYS. Secrets are replaced. A request's body is shown as long" +
        "\nas the rows of its batch are kept, its first 64 KiB; of an answer its first 4 KiB.\n" +
        "\nExamples:\n  egret calls airports --run 7011 --full\n  egret calls airports --follow",
    );
  return withDeskOptions(command).action(calls);
}

async function calls(name: string, options: CallsOptions): Promise<void> {
  const wanted = { name, workspace: options.workspace, runId: options.run };
  await withDesk("calls", options, (desk) =>
    desk.withLatest(wanted, async (latest) => {
      const shown = new Map<string, number>();
      const show = (found: readonly DestinationCall[]): void => {
        for (const call of found.toReversed()) {
          const key = `${call.sync_run_id}-${call.batch} ${call.attempt} ${call.started_at.getTime()}`;
          if (!shown.has(key)) printCall(call, options);
          shown.set(key, call.started_at.getTime() + call.duration_ms);
        }
      };
      const first = await latest(options.limit);
      show(first);
      if (options.follow === true) await follow(latest, { show, shown });
      else if (first.length === 0 && options.json !== true)
        complain("no calls, or none that are kept any more");
    }),
  );
}

async function follow(
  latest: (limit: number, since: Date) => Promise<DestinationCall[]>,
  { show, shown }: { show(found: readonly DestinationCall[]): void; shown: Map<string, number> },
): Promise<void> {
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  if (isTerminal()) complain(paint("dim", "waiting for calls; Ctrl-C ends"));
  try {
    while (!stop.signal.aborted) {
      await delay(POLL_MS, undefined, { signal: stop.signal }).catch(() => undefined);
      const since = new Date(Date.now() - LATE_MS);
      show(await latest(MOST_AT_ONCE, since));
      for (const [key, endedMs] of shown) if (endedMs < since.getTime() - LATE_MS) shown.delete(key);
    }
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

function printCall(call: DestinationCall, { json = false, full = false }: CallsOptions): void {
  if (json) return printJson(call);
  const { started_at: at, http_status: status, error, attempt } = call;
  const answer = status === null ? (error ?? "no status was kept") : `HTTP ${status}`;
  const isGood = status !== null && status < 300;
  print(
    `${paint("dim", full ? dayAndTime(at) : clock(at))} ${call.sync_run_id}-${call.batch}` +
      `${attempt === 1 ? "" : ` attempt ${attempt}`}  ${call.method ?? "?"} ${printable(call.url ?? "?")}  ` +
      `${paint(isGood ? "green" : "red", answer)} in ${duration(call.duration_ms)}`,
  );
  if (full) for (const line of detailLines(call)) print(`    ${line}`);
}

function detailLines(call: DestinationCall): string[] {
  const lines: string[] = [];
  const { request_body: body, request_body_bytes: length, response_body: answered } = call;
  for (const [name, value] of Object.entries(call.request_headers)) lines.push(headerLine(">", name, value));
  if (body !== null && length !== null) {
    const isCut = Buffer.byteLength(body) < length;
    lines.push(`${paint("dim", ">")} ${printable(body)}${isCut ? ` … (${bytes(length)})` : ""}`);
  }
  for (const [name, value] of Object.entries(call.response_headers ?? {})) {
    for (const each of [value ?? []].flat()) lines.push(headerLine("<", name, each));
  }
  if (answered !== null && answered !== "") lines.push(`${paint("dim", "<")} ${printable(answered)}`);
  return lines;
}
