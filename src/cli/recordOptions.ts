/** The options by which `egret records` chooses rows, and the run they are rows of. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { RECORD_OPERATIONS, STATUS_WORDS, statusesOf } from "../engine/recordExport.ts";
import { RECORD_STATUSES, type RecordStatus } from "../engine/records.ts";
import type { BatchOperation } from "../projections/database.ts";
import type { DeskOptions } from "./deskOptions.ts";
import type { WantedRecords } from "./desks.ts";
import { parseRunId } from "./runInLog.ts";

/** What they hold. */
export interface RecordOptions extends DeskOptions {
  status?: readonly RecordStatus[];
  key?: string;
  operation?: BatchOperation;
}

/** Adds the options. */
export function withRecordOptions(command: Command): Command {
  return command
    .option(
      "--status <status>",
      `only rows of this status: ${RECORD_STATUSES.join(", ")}; invalid is the last three`,
      recordStatus,
    )
    .option("--key <key>", "only rows with exactly this key")
    .addOption(new Option("--operation <operation>", "only rows sent as this").choices(RECORD_OPERATIONS));
}

function recordStatus(text: string): readonly RecordStatus[] {
  const word = STATUS_WORDS.find((status) => status === text);
  if (word !== undefined) return statusesOf(word);
  throw new InvalidArgumentError(`Give one of ${RECORD_STATUSES.join(", ")}, invalid.`);
}

/** Which rows of which run the command line asks for. */
export function wantedRecords(runId: string, options: RecordOptions): WantedRecords {
  const { status: statuses, key: identifier, operation } = options;
  return { runId: parseRunId(runId), statuses, identifier, operation };
}
