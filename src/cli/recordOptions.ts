/** The options by which `egret records` chooses rows, and the run they are rows of. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Kysely } from "kysely";
import { NotFound } from "../domain/errors.ts";
import {
  INVALID_STATUSES,
  RECORD_STATUSES,
  type RecordFilter,
  type RecordStatus,
} from "../engine/records.ts";
import type { BatchOperation, Database } from "../projections/database.ts";
import { getRun } from "../projections/runs.ts";
import type { ReachOptions } from "./reach.ts";
import { parseRunId } from "./runInLog.ts";

const OPERATIONS = ["upsert", "update", "insert", "append", "delete"] as const satisfies BatchOperation[];

/** What they hold. */
export interface RecordOptions extends ReachOptions {
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
    .addOption(new Option("--operation <operation>", "only rows sent as this").choices(OPERATIONS));
}

function recordStatus(text: string): readonly RecordStatus[] {
  if (text === "invalid") return INVALID_STATUSES;
  const found = RECORD_STATUSES.find((status) => status === text);
  if (found !== undefined) return [found];
  throw new InvalidArgumentError(`Give one of ${RECORD_STATUSES.join(", ")}, invalid.`);
}

/**
 * The filter that the command line asks for.
 * @throws NotFound when there is no such run, or it is one that keeps no rows.
 */
export async function recordFilter(
  db: Kysely<Database>,
  runId: string,
  options: RecordOptions,
): Promise<RecordFilter> {
  const id = parseRunId(runId);
  const run = await getRun(db, id);
  if (run === null) throw new NotFound(`there is no run ${id}; \`egret runs\` lists the latest`);
  if (run.run_kind !== "normal") {
    throw new NotFound(`run ${id} was a ${run.run_kind} run: rows are kept of runs that send them all`);
  }
  const { status: statuses, key: identifier, operation } = options;
  return { runId: id, syncId: run.sync_id, statuses, identifier, operation };
}
