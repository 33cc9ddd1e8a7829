/** Asks for a dry or test run by a command and waits for its end. */
import { randomUUID } from "node:crypto";
import type { Kysely } from "kysely";
import type { TrialAggregate } from "../domain/aggregate.ts";
import { InvalidInput } from "../domain/errors.ts";
import type { EgretEvent } from "../domain/event.ts";
import type { Database } from "../projections/database.ts";
import { ask } from "./askCommand.ts";
import type { OpenLog } from "./reach.ts";
import { RunScreen } from "./runScreen.ts";
import { print, StatusLine } from "./terminal.ts";
import { watchToEnd } from "./watchRun.ts";

/** What is asked for. */
export interface TryOutRequest {
  workspaceId: number;
  syncId: number;
  verb: "dry_run" | "test";
  /** Of the command, but for the sync. */
  payload: object;
  timeoutMs: number;
  /** Whether progress is shown. */
  isShown: boolean;
}

/** A trial and how it ended. */
export interface TriedOut {
  runId: number;
  end: EgretEvent<"trial.completed"> | EgretEvent<"trial.failed">;
}

/**
 * @throws InvalidInput when the command is refused; TimedOut when nothing takes it or the trial up.
 */
export async function tryOut(open: OpenLog, db: Kysely<Database>, request: TryOutRequest): Promise<TriedOut> {
  const { workspaceId, syncId, verb, timeoutMs } = request;
  const id = randomUUID();
  const payload = { sync: syncId, requested_via: "CLI", reason: `egret ${WORDS[verb]}`, ...request.payload };
  const found: { runId: number | null; sequence: number } = { runId: null, sequence: 0 };
  const aggregateOf = (runId: number): TrialAggregate => ({ kind: "trial", workspaceId, syncId, runId });
  const refusal = await ask(
    open,
    { workspaceId, verb, payload, id },
    {
      timeoutMs,
      isDone: async () => {
        found.runId ??= await acceptedRun(db, workspaceId, id);
        if (found.runId === null) return false;
        const first = (await open.log.load(aggregateOf(found.runId)))[0];
        found.sequence = first?.sequence ?? 0;
        return first !== undefined;
      },
    },
  );
  if (refusal !== null) throw new InvalidInput(`refused (${refusal.code}): ${refusal.message}`);
  const runId = found.runId ?? 0;
  const screen = request.isShown ? new RunScreen(new StatusLine()) : null;
  if (screen !== null) print(`run ${runId}`);
  const end = await watchToEnd({
    connection: open.connection,
    run: aggregateOf(runId),
    fromSequence: found.sequence,
    startTimeoutMs: timeoutMs,
    onEvent: (event) => screen?.onEvent(event),
    onProgress: (progress) => screen?.onProgress(progress),
  });
  if (end.type !== "trial.completed" && end.type !== "trial.failed")
    throw new TypeError(`${end.type} ends no trial`);
  return { runId, end };
}

const WORDS = { dry_run: "dry-run", test: "test-sync" } as const;

async function acceptedRun(db: Kysely<Database>, workspaceId: number, id: string): Promise<number | null> {
  const row = await db
    .selectFrom("egret.accepted_commands")
    .select("run_id")
    .where("workspace_id", "=", workspaceId)
    .where("command_id", "=", id)
    .executeTakeFirst();
  return row?.run_id ?? null;
}
