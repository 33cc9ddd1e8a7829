/** Reads one run as it is now: an ended one from the read model, any other held against its history in the log. */
import { setTimeout as delay } from "node:timers/promises";
import type { Kysely } from "kysely";
import type { RunAggregate, TrialAggregate } from "../../domain/aggregate.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { EventLog } from "../../log/eventLog.ts";
import type { Database } from "../../projections/database.ts";
import { foldRun, getRuns, isRunEvent, type Run } from "../../projections/runs.ts";
import { Together } from "../together.ts";
import { findRunById } from "./findRun.ts";

/** What reading works with. */
export interface RunReaderParts {
  db: Kysely<Database>;
  connection: LogConnection;
  log: EventLog;
}

const ENDED: ReadonlySet<Run["status"]> = new Set(["completed", "failed", "skipped"]);
/** A run that was accepted is awaited in the log for so long, ms. */
const PATIENCE_MS = 2_000;
const LOOK_EVERY_MS = 25;

/** Reads for one process, what is asked at about the same time by one query. */
export class RunReader {
  readonly #parts: RunReaderParts;
  readonly #rows: Together<number, Run | null>;

  constructor(parts: RunReaderParts) {
    this.#parts = parts;
    this.#rows = new Together((ids) => getRuns(parts.db, ids));
  }

  /**
   * A run of a workspace, dry and test runs included; null when it has none of that id. What was written before the call
   * is in it, whether a projector has come to it or not.
   */
  async read(wanted: { workspaceId: number; runId: number }): Promise<Run | null> {
    const run = await this.#rows.ask(wanted.runId);
    if (run !== null && run.workspace_id !== wanted.workspaceId) return null;
    if (run !== null && ENDED.has(run.status)) return run;
    const aggregate = run === null ? await findRun(this.#parts, wanted) : aggregateOf(run);
    return aggregate === null ? null : asTheLogHasIt(this.#parts.log, aggregate, run);
  }
}

function aggregateOf({ id, workspace_id, sync_id, run_kind }: Run): RunAggregate | TrialAggregate {
  const kind = run_kind === "normal" ? "run" : "trial";
  return { kind, workspaceId: workspace_id, syncId: sync_id, runId: id };
}

async function asTheLogHasIt(
  log: EventLog,
  aggregate: RunAggregate | TrialAggregate,
  known: Run | null,
): Promise<Run | null> {
  const last = await log.last(aggregate);
  if (last === null || last.event.version === known?.version) return known;
  let run: Run | undefined;
  for (const { event } of await log.load(aggregate)) if (isRunEvent(event)) run = foldRun(run, event);
  return run ?? known;
}

/** In the log; one that is accepted and not begun yet is waited for. */
async function findRun(
  { db, connection }: RunReaderParts,
  wanted: { workspaceId: number; runId: number },
): Promise<RunAggregate | TrialAggregate | null> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await findRunById(connection, wanted);
    if (found !== null) return found;
    if (performance.now() > deadline || !(await isAccepted(db, wanted))) return null;
    await delay(LOOK_EVERY_MS);
  }
}

async function isAccepted(
  db: Kysely<Database>,
  { workspaceId, runId }: { workspaceId: number; runId: number },
): Promise<boolean> {
  const row = await db
    .selectFrom("egret.accepted_commands")
    .select("run_id")
    .where("run_id", "=", runId)
    .where("workspace_id", "=", workspaceId)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
