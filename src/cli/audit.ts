/** `egret audit <run>`: every event of a run and of its deliveries, from the log alone, and whether it is intact. */
import { Command } from "commander";
import type { StoredEvent } from "../domain/event.ts";
import { type Audit, auditRun, auditVerdict } from "./auditRun.ts";
import { eventLine } from "./eventLine.ts";
import { EXIT } from "./exitCodes.ts";
import { findServices, type ReachOptions, withLog, withReachOptions } from "./reach.ts";
import { findRun, parseRunId } from "./runInLog.ts";
import { complain, paint, print, printJson } from "./terminal.ts";

/** The command. */
export function auditCommand(): Command {
  const command = new Command("audit")
    .description(
      "show every event of a run and of its deliveries, from the log alone, and check that none is missing",
    )
    .argument("<run>", "id of the run")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nVersions are checked to be 1, 2, 3, … without a gap, and every state is replayed through its statechart.\n" +
        "Exit code 1 when something is missing or wrong.\n\nExample:\n  egret audit 7011",
    );
  return withReachOptions(command).action(async (run: string, options: ReachOptions & { json?: boolean }) => {
    const runId = parseRunId(run);
    const reach = await findServices(options);
    const audit = await withLog(reach, async (open) => auditRun(open, await findRun(open.connection, runId)));
    if (options.json === true) printJson(toJson(audit));
    else printAudit(audit);
    if (audit.problems.length > 0) process.exitCode = EXIT.failed;
  });
}

function printAudit(audit: Audit): void {
  const all = [...audit.events, ...audit.deliveries.flatMap(({ events }) => events)];
  all.sort((a, b) => (a.event.time < b.event.time ? -1 : a.event.time > b.event.time ? 1 : 0));
  for (const { event } of all) print(eventLine(event));
  print();
  for (const problem of audit.problems) print(`${paint("red", "✗")} ${problem}`);
  const verdict = auditVerdict(audit);
  if (audit.problems.length === 0) print(paint("green", verdict));
  else complain(paint("red", verdict));
}

function toJson(audit: Audit): object {
  const { workspaceId, syncId, runId } = audit.run;
  const plain = (events: readonly StoredEvent[]) =>
    events.map(({ event, sequence }) => ({ sequence, ...event }));
  return {
    run_id: runId,
    sync_id: syncId,
    workspace_id: workspaceId,
    intact: audit.problems.length === 0,
    ended: audit.isEnded,
    open_deliveries: audit.open,
    verdict: auditVerdict(audit),
    problems: audit.problems,
    events: plain(audit.events),
    deliveries: audit.deliveries.map(({ kind, id, events }) => ({ kind, id, events: plain(events) })),
  };
}
