/** Dry and test runs in our Postgres: their ids, which row a test wants, and what was said when it was sent. */
import { type Kysely, sql } from "kysely";
import type { Database } from "../projections/database.ts";
import { stageTable } from "./scratch.ts";

/** A command for a trial, by the id under which its sender may repeat it. */
export interface TrialWish {
  workspaceId: number;
  commandId: string;
  syncId: number;
  kind: "dry" | "test";
  /** Of a test: key of the row to send; null for the first. Never in the log (I11). */
  identifier: string | null;
}

/** What was sent in a test and what came back, secrets replaced. */
export interface TestExchange {
  request: { method: string; url: string; headers: Record<string, string>; body: string };
  response: {
    http_status: number | null;
    headers: Record<string, string | string[] | undefined> | null;
    body: string | null;
    error: string | null;
    duration_ms: number;
  };
}

/** Gives a trial the next run id; the same command gets the same one. It claims nothing: runs of the sync go on. */
export async function acceptTrial(db: Kysely<Database>, wish: TrialWish): Promise<number> {
  const { workspaceId, commandId, syncId, kind, identifier } = wish;
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ id: number }>`
      insert into egret.accepted_commands (workspace_id, command_id, run_id)
      values (${workspaceId}, ${commandId}, nextval('egret.run_ids'))
      on conflict (workspace_id, command_id) do update set run_id = egret.accepted_commands.run_id
      returning run_id as id`.execute(tx);
    const runId = rows[0]?.id ?? 0;
    if (kind === "test") {
      await tx
        .insertInto("egret.tests")
        .values({ run_id: runId, sync_id: syncId, identifier })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    }
    return runId;
  });
}

/** Key of the row that a test is to send; null for the first. */
export async function wantedIdentifier(db: Kysely<Database>, runId: number): Promise<string | null> {
  const row = await db
    .selectFrom("egret.tests")
    .select("identifier")
    .where("run_id", "=", runId)
    .executeTakeFirst();
  return row?.identifier ?? null;
}

/** Keeps what was said in a test; of a second time after a crash, the second. */
export async function keepTestExchange(
  db: Kysely<Database>,
  runId: number,
  { request, response }: TestExchange,
): Promise<void> {
  const texts = { request: JSON.stringify(request), response: JSON.stringify(response) };
  await db.updateTable("egret.tests").set(texts).where("run_id", "=", runId).execute();
}

/** What was said in a test; null before it, and when it is no longer kept. */
export async function readTestExchange(db: Kysely<Database>, runId: number): Promise<TestExchange | null> {
  const row = await db
    .selectFrom("egret.tests")
    .select(["request", "response"])
    .where("run_id", "=", runId)
    .executeTakeFirst();
  return row === undefined || row.request === null || row.response === null
    ? null
    : { request: row.request, response: row.response };
}

/** Drops what a dry run leaves behind; safe to call twice. */
export async function dropTrial(db: Kysely<Database>, runId: number): Promise<void> {
  await sql`drop table if exists ${sql.raw(stageTable(runId))}`.execute(db);
}
