/** Which run has a sync: a trigger claims it, waits for it or is skipped; the run's end frees it. */
import { type Kysely, type RawBuilder, sql, type Transaction } from "kysely";
import type { TriggerCommand } from "../domain/command.ts";
import type { Database } from "../projections/database.ts";
import { stageTable } from "./scratch.ts";

/** What a trigger asks of its run, but for its reason. */
export type AskedOfRun = Omit<TriggerCommand, "sync" | "reason">;

/** A trigger command, by the id under which its sender may repeat it. */
export interface Trigger {
  workspaceId: number;
  commandId: string;
  syncId: number;
  /**
   * While a run is under way: `refuse` it, note it as a `skipped` run, let one run `wait` for the end, or `drop` it
   * without a trace. `wait_alone` waits unless another run does already. `refuse` when left out.
   */
  onBusy?: "refuse" | "skip" | "wait" | "wait_alone" | "drop";
  /** Kept with the run that it causes, for who may have to begin that late: who or what asks, and what for. */
  reason?: string | undefined;
  asked?: AskedOfRun;
}

/**
 * The run that a trigger caused, now or the first time it came: one that begins or waits, or a skipped one. Else the
 * run that is in its way.
 */
export type TriggerAnswer =
  | { kind: "accepted"; runId: number; duplicate: boolean }
  | { kind: "skipped"; runId: number; runningRunId: number; duplicate: boolean }
  | { kind: "busy"; runId: number }
  | { kind: "dropped"; runId: number };

/** Accepts a trigger once: the command and what became of it are written together, or neither is. */
export function acceptTrigger(db: Kysely<Database>, trigger: Trigger): Promise<TriggerAnswer>;
/** With `isPaused` it causes no run that it did not cause before: its sync is paused. */
export function acceptTrigger(
  db: Kysely<Database>,
  trigger: Trigger & { isPaused: boolean },
): Promise<TriggerAnswer | { kind: "paused" }>;
export async function acceptTrigger(
  db: Kysely<Database>,
  trigger: TriggerToAccept,
): Promise<TriggerAnswer | { kind: "paused" }> {
  const [answer] = await acceptTriggers(db, [trigger]);
  return answer as TriggerAnswer;
}

/** A trigger among others; `forgetAfterMs`: a command id that was used longer ago is a new one. */
export type TriggerToAccept = Trigger & { isPaused?: boolean; forgetAfterMs?: number };

/** Of several syncs at once none is waited for longer: who deletes syncs locks them in an order of its own. */
const LOCK_TIMEOUT = "300ms";

/**
 * Accepts several triggers in one transaction, as if one after the other; the answers stand in the same order.
 * @throws the database's error when another transaction has one of several syncs for too long: nothing was accepted.
 */
export async function acceptTriggers(
  db: Kysely<Database>,
  triggers: readonly TriggerToAccept[],
): Promise<(TriggerAnswer | { kind: "paused" })[]> {
  // Locked in one order by all, so that two of these never wait for each other.
  const syncIds = [...new Set(triggers.map(({ syncId }) => syncId))].sort((a, b) => a - b);
  return db.transaction().execute(async (tx) => {
    if (syncIds.length > 1) await sql`select set_config('lock_timeout', ${LOCK_TIMEOUT}, true)`.execute(tx);
    await sql`
      insert into egret.sync_states (sync_id) select unnest(${syncIds}::bigint[])
      on conflict do nothing`.execute(tx);
    // The row lock makes triggers of one sync take turns, copies of the same command among them.
    const { rows } = await sql<SyncClaim>`
      select sync_id, active_run_id as active, waiting_run_id as waiting from egret.sync_states
      where sync_id = any(${syncIds}) order by sync_id for update`.execute(tx);
    const claims = new Map(rows.map((row) => [row.sync_id, { ...row }]));
    const known = await knownCommands(tx, triggers);
    const outcomes = triggers.map((trigger) => decideClaim(trigger, claims, known));
    await writeRuns(tx, outcomes);
    return outcomes.map(({ answer }) => answer());
  });
}

/** What a sync is busy with, as triggers of the same transaction left it. */
interface SyncClaim {
  sync_id: number;
  active: number | NewRun | null;
  waiting: number | NewRun | null;
}

/** A run that gets its id when all is decided. */
interface NewRun {
  id: number;
  syncId: number;
  place: "active" | "waiting" | "none";
}

type KnownCommands = Map<string, { run: number | NewRun; skippedFor: number | NewRun | null }>;

interface Outcome {
  trigger: TriggerToAccept;
  /** Made for this trigger. */
  newRun?: NewRun;
  /** What the command is remembered by, when it was not known. */
  remembered?: { run: number | NewRun; skippedFor: number | NewRun | null };
  answer(): TriggerAnswer | { kind: "paused" };
}

const idOf = (run: number | NewRun): number => (typeof run === "number" ? run : run.id);
const commandKey = ({ workspaceId, commandId }: Pick<Trigger, "workspaceId" | "commandId">) =>
  `${workspaceId} ${commandId}`;

async function knownCommands(
  tx: Transaction<Database>,
  triggers: readonly TriggerToAccept[],
): Promise<KnownCommands> {
  const { rows } = await sql<KnownRow>`
    select asked.place, known.run_id, known.skipped_for
    from unnest(${triggers.map((trigger) => trigger.workspaceId)}::bigint[],
                ${triggers.map((trigger) => trigger.commandId)}::text[],
                ${triggers.map((trigger) => trigger.forgetAfterMs ?? null)}::bigint[])
         with ordinality as asked (workspace_id, command_id, forget_after, place)
    join egret.accepted_commands known using (workspace_id, command_id)
    where asked.forget_after is null
       or known.accepted_at > now() - asked.forget_after * interval '1 millisecond'`.execute(tx);
  return new Map(
    rows.map(({ place, run_id, skipped_for }) => [
      commandKey(triggers[place - 1] as TriggerToAccept),
      { run: run_id, skippedFor: skipped_for },
    ]),
  );
}

interface KnownRow {
  /** Of the trigger in the list, from 1. */
  place: number;
  run_id: number;
  skipped_for: number | null;
}

function decideClaim(
  trigger: TriggerToAccept,
  claims: ReadonlyMap<number, SyncClaim>,
  known: KnownCommands,
): Outcome {
  const before = known.get(commandKey(trigger));
  if (before !== undefined) return { trigger, answer: () => answerOf(before.run, before.skippedFor, true) };
  if (trigger.isPaused === true) return { trigger, answer: () => ({ kind: "paused" }) };
  const claim = claims.get(trigger.syncId) as SyncClaim;
  const remember = (run: number | NewRun, skippedFor: number | NewRun | null) => {
    known.set(commandKey(trigger), { run, skippedFor });
    return { run, skippedFor };
  };
  const begins = (place: NewRun["place"], skippedFor: number | NewRun | null): Outcome => {
    const newRun = { id: 0, syncId: trigger.syncId, place };
    if (place !== "none") claim[place] = newRun;
    const remembered = remember(newRun, skippedFor);
    return { trigger, newRun, remembered, answer: () => answerOf(newRun, skippedFor, false) };
  };
  const { active, waiting } = claim;
  if (active === null) return begins("active", null);
  const onBusy = trigger.onBusy ?? "refuse";
  if (onBusy === "refuse") return { trigger, answer: () => ({ kind: "busy", runId: idOf(active) }) };
  if (onBusy === "drop") return { trigger, answer: () => ({ kind: "dropped", runId: idOf(active) }) };
  if (onBusy === "skip") return begins("none", active);
  if (waiting === null) return begins("waiting", null);
  if (onBusy === "wait_alone") return { trigger, answer: () => ({ kind: "busy", runId: idOf(waiting) }) };
  const remembered = remember(waiting, null);
  return { trigger, remembered, answer: () => ({ kind: "accepted", runId: idOf(waiting), duplicate: true }) };
}

function answerOf(
  run: number | NewRun,
  runningRun: number | NewRun | null,
  duplicate: boolean,
): TriggerAnswer {
  if (runningRun === null) return { kind: "accepted", runId: idOf(run), duplicate };
  return { kind: "skipped", runId: idOf(run), runningRunId: idOf(runningRun), duplicate };
}

/** Gives the new runs their ids, and writes down what they have and which commands caused them. */
async function writeRuns(tx: Transaction<Database>, outcomes: readonly Outcome[]): Promise<void> {
  const newRuns = outcomes.flatMap(({ newRun }) => newRun ?? []);
  if (newRuns.length > 0) {
    const { rows } = await sql<{ id: number }>`
      select nextval('egret.run_ids') as id from generate_series(1, ${newRuns.length}::int)`.execute(tx);
    newRuns.forEach((run, index) => (run.id = rows[index]?.id ?? 0));
  }
  const remembered = outcomes.flatMap(({ trigger, newRun, remembered: as }) =>
    as === undefined
      ? []
      : {
          workspace_id: trigger.workspaceId,
          command_id: trigger.commandId,
          run_id: idOf(as.run),
          skipped_for: as.skippedFor === null ? null : idOf(as.skippedFor),
          ...keptOf(trigger, newRun),
        },
  );
  if (remembered.length > 0) {
    const { numAffectedRows } = await sql`
      insert into egret.accepted_commands as known
        (workspace_id, command_id, run_id, skipped_for, reason, asked)
      select * from unnest(${remembered.map((row) => row.workspace_id)}::bigint[],
                           ${remembered.map((row) => row.command_id)}::text[],
                           ${remembered.map((row) => row.run_id)}::bigint[],
                           ${remembered.map((row) => row.skipped_for)}::bigint[],
                           ${remembered.map((row) => row.reason)}::text[],
                           ${remembered.map((row) => row.asked)}::jsonb[])
      on conflict (workspace_id, command_id) do update
      set run_id = excluded.run_id, skipped_for = excluded.skipped_for, accepted_at = now(),
          reason = excluded.reason, asked = excluded.asked
      where known.accepted_at < now() - interval '1 hour'`.execute(tx);
    // Accepted for another sync at this moment: tried again, it is known.
    if (numAffectedRows !== BigInt(remembered.length)) throw new Error("a command was accepted meanwhile");
  }
  const claiming = (place: NewRun["place"]) => newRuns.filter((run) => run.place === place);
  await claim(tx, claiming("active"), sql`active_run_id = claimed.run_id, last_began_at = now()`);
  await claim(tx, claiming("waiting"), sql`waiting_run_id = claimed.run_id`);
}

/** What a run was asked for stands with the trigger that caused it alone: others that wait with it change nothing. */
function keptOf(
  { reason, asked }: TriggerToAccept,
  newRun: NewRun | undefined,
): { reason: string | null; asked: string | null } {
  if (newRun === undefined || asked === undefined) return { reason: null, asked: null };
  return { reason: reason ?? null, asked: JSON.stringify(asked) };
}

/** What a run was claimed for. */
export interface KeptClaim {
  commandId: string;
  reason: string | null;
  asked: AskedOfRun;
}

/** What the trigger asked for that caused a run; null where that was not kept. */
export async function claimOf(
  db: Kysely<Database>,
  { workspaceId, runId }: { workspaceId: number; runId: number },
): Promise<KeptClaim | null> {
  const { rows } = await sql<KeptClaim>`
    select command_id as "commandId", reason, asked from egret.accepted_commands
    where run_id = ${runId} and workspace_id = ${workspaceId} and asked is not null`.execute(db);
  return rows[0] ?? null;
}

async function claim(
  tx: Transaction<Database>,
  runs: readonly NewRun[],
  assignment: RawBuilder<unknown>,
): Promise<void> {
  if (runs.length === 0) return;
  await sql`
    update egret.sync_states set ${assignment}
    from unnest(${runs.map(({ syncId }) => syncId)}::bigint[], ${runs.map(({ id }) => id)}::bigint[])
         as claimed (sync_id, run_id)
    where sync_states.sync_id = claimed.sync_id`.execute(tx);
}

/** What a look without a lock shows of a trigger: the run that has its sync, and what became of its command before. */
export interface Glimpse {
  active: number | null;
  known: { runId: number; skippedFor: number | null } | null;
}

/** The answer to a trigger that changes nothing, as most of a busy sync do; null where it has to be accepted. */
export function answerAtAGlance(
  { onBusy = "refuse", isPaused }: Pick<TriggerToAccept, "onBusy" | "isPaused">,
  { active, known }: Glimpse,
): TriggerAnswer | null {
  if (known !== null) return answerOf(known.runId, known.skippedFor, true);
  if (active === null || isPaused === true) return null;
  if (onBusy === "refuse") return { kind: "busy", runId: active };
  return onBusy === "drop" ? { kind: "dropped", runId: active } : null;
}

/**
 * Frees the sync from an ended run, for the one that waits if there is one, and drops what only that run needed; doing
 * it twice, or late, changes nothing.
 */
export async function releaseSync(db: Kysely<Database>, syncId: number, runId: number): Promise<void> {
  await sql`drop table if exists ${sql.raw(stageTable(runId))}`.execute(db);
  await dropBatches(db, runId);
  await sql`
    update egret.sync_states
    set active_run_id = waiting_run_id, waiting_run_id = null, last_ended_at = now(),
        last_began_at = case when waiting_run_id is null then last_began_at else now() end
    where sync_id = ${syncId} and active_run_id = ${runId}`.execute(db);
  // One that was cancelled while it waited.
  await sql`
    update egret.sync_states set waiting_run_id = null
    where sync_id = ${syncId} and waiting_run_id = ${runId}`.execute(db);
  // A batch that was being split has left halves meanwhile; from now on none is split any more.
  await dropBatches(db, runId);
}

/** A batch left open can no longer be accepted: a later run may already have sent something newer for its keys. */
async function dropBatches(db: Kysely<Database>, runId: number): Promise<void> {
  await sql`
    update egret.batches
    set outcome = 'dropped', settled_at = now(), body = null, keys = null, hashes = null, row_records = null,
        source_records = null, request = null, row_errors = null, rejected_records = 0
    where run_id = ${runId} and outcome is null`.execute(db);
}
