/** Works the plan of a run out and throws it away: by the same code as a run's, in a transaction that is rolled back. */
import type pg from "pg";
import type { Operation } from "../domain/configuration.ts";
import type { DryReport } from "../domain/trial.ts";
import { type Compared, countAdded } from "./advancedDiff.ts";
import { NEW } from "./diffKinds.ts";
import { deleteGuard } from "./fuses.ts";
import { makePlan, type Plan, type PlanRequest } from "./plan.ts";
import { MAX_KEY_BYTES, stageTable, stateTable } from "./scratch.ts";
import { inTransaction } from "./transaction.ts";

/** What a dry run found. */
export interface DryRun {
  plan: Plan;
  report: DryReport;
}

/** Ids from here on are no sync's: a plan that is worked out for nothing locks nothing that a real run needs. */
const SHADOWS = 2 ** 50;

class Discarded extends Error {
  readonly found: DryRun;

  constructor(found: DryRun) {
    super("a dry run writes nothing");
    this.found = found;
  }
}

/**
 * The figures of the plan that a run would make. It compares with a copy of the sync's state, so that a run that works
 * at the same time is not held up, and one that ends meanwhile changes no figure half-way.
 * @throws RunFailure when the source fails; Unavailable when our Postgres does.
 */
export async function dryRun(request: PlanRequest): Promise<DryRun> {
  const { database, signal } = request;
  const work = async (client: pg.PoolClient): Promise<never> => {
    throw new Discarded(await tryPlan(client, request));
  };
  return inTransaction(database.pool, work, signal).catch((error: unknown) => {
    if (error instanceof Discarded) return error.found;
    throw error;
  });
}

async function tryPlan(client: pg.PoolClient, request: PlanRequest): Promise<DryRun> {
  const { sync, runId, mode, taken } = request;
  const { compared } = taken;
  const shadow = { ...sync, id: SHADOWS + runId };
  const hasState = compared === null && (await copyState(client, { ...request, shadowId: shadow.id }));
  const added =
    compared === null
      ? await countNew(client, runId, hasState ? shadow.id : null)
      : await countAdded(client, runId, compared);
  const remembered = compared?.remembered ?? (hasState ? await countRows(client, stateTable(shadow.id)) : 0);
  // The fuse is asked afterwards, so that its verdict comes with the figures.
  const plan = await makePlan(client, { ...request, sync: shadow, allowDeletes: true, isDiscarded: true });
  const unmade =
    compared === null
      ? await countUnmade(client, runId, hasState ? stateTable(shadow.id) : null)
      : await countUnmadeThere(client, runId, compared);
  const expected = expectedOf(sync.operation, plan, Math.max(0, added - unmade));
  const isAgain = (request.fullSync || mode.fullSync) && remembered > 0;
  const guard =
    sync.operation === "mirror"
      ? deleteGuard({ deletes: plan.deletes, remembered }, sync.options.max_delete_percent)
      : null;
  return {
    plan,
    report: {
      ...expected,
      batches: plan.batches,
      resends: isAgain ? expected.expected_updates : null,
      remembered,
      stopped_by:
        guard === null
          ? null
          : { error_code: guard.runCode, error_message: guard.message, error_detail: guard.detail },
    },
  };
}

/** The state, and what a watermark left behind, under another id; false when the run would begin without any. */
async function copyState(
  client: pg.PoolClient,
  { sync, mode, shadowId }: PlanRequest & { shadowId: number },
): Promise<boolean> {
  const [state, copy] = [stateTable(sync.id), stateTable(shadowId)];
  const { rows } = await client.query<{ there: boolean }>("SELECT to_regclass($1) IS NOT NULL AS there", [
    state,
  ]);
  if (mode.beginsAnew || rows[0]?.there !== true) return false;
  await client.query("SET LOCAL maintenance_work_mem = '256MB'");
  await client.query(`CREATE UNLOGGED TABLE ${copy} AS SELECT * FROM ${state}`);
  await client.query(`ALTER TABLE ${copy} ADD PRIMARY KEY (key)`);
  await client.query(`ANALYZE ${copy}`);
  await client.query(
    "INSERT INTO egret.retry_keys (sync_id, key, run_id) SELECT $2, key, run_id FROM egret.retry_keys WHERE sync_id = $1",
    [sync.id, shadowId],
  );
  return true;
}

/** Rows of the snapshot with a valid key that the state does not have. */
async function countNew(client: pg.PoolClient, runId: number, shadowId: number | null): Promise<number> {
  const valid = `SELECT key FROM ${stageTable(runId)} WHERE octet_length(key) <= ${MAX_KEY_BYTES}
    GROUP BY key HAVING count(*) = 1`;
  if (shadowId === null) return countRows(client, `(${valid}) s`);
  return countRows(
    client,
    `(${valid}) s WHERE NOT EXISTS (SELECT FROM ${stateTable(shadowId)} t WHERE t.key = s.key)`,
  );
}

/** Rows among them whose record cannot be made or sent. Of a longer key only the beginning is written down. */
async function countUnmade(client: pg.PoolClient, runId: number, state: string | null): Promise<number> {
  const known = state === null ? "" : `AND NOT EXISTS (SELECT FROM ${state} t WHERE t.key = r.identifier)`;
  return countRows(
    client,
    `egret.invalid_rows r WHERE run_id = ${runId} AND status = 'INVALID' AND char_length(identifier) < 200 ${known}`,
  );
}

/** The same where the source compared: of a full run, which of them are new is known only if all are. */
async function countUnmadeThere(
  client: pg.PoolClient,
  runId: number,
  { fullSync, remembered }: Compared,
): Promise<number> {
  if (fullSync) return remembered > 0 ? 0 : countUnmade(client, runId, null);
  return countUnmade(client, runId, `(SELECT key FROM egret_diff WHERE kind <> ${NEW})`);
}

async function countRows(client: pg.PoolClient, from: string): Promise<number> {
  const { rows } = await client.query<{ rows: number }>(`SELECT count(*) AS rows FROM ${from}`);
  return rows[0]?.rows ?? 0;
}

type Expected = Pick<DryReport, "expected_creates" | "expected_updates" | "expected_deletes">;

/** What the destination would be asked to do, as far as we know what it has. */
function expectedOf(operation: Operation, { updates, deletes }: Plan, added: number): Expected {
  const nothing = { expected_creates: 0, expected_updates: 0, expected_deletes: 0 };
  switch (operation) {
    case "append":
    case "insert":
      return { ...nothing, expected_creates: updates };
    case "update":
      return { ...nothing, expected_updates: updates };
    case "delete":
      return { ...nothing, expected_deletes: updates };
    case "upsert":
    case "mirror": {
      const expected_creates = Math.min(added, updates);
      return { expected_creates, expected_updates: updates - expected_creates, expected_deletes: deletes };
    }
  }
}
