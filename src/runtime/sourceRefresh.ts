/** Asks sources for what the API shows of them, in bounded time, and keeps the answer: lists are read from there. */
import type { Kysely } from "kysely";
import { keepColumns } from "../configuration/itemWriter.ts";
import { keepRefresh, keepTableColumns, keepTables } from "../configuration/sourceObjects.ts";
import type { Source, SyncObject } from "../domain/configuration.ts";
import { AppError, RunFailure } from "../domain/errors.ts";
import type { Database } from "../projections/database.ts";
import { postgresSource } from "../sources/postgres.ts";
import { listTables, testPostgres } from "../sources/postgresTables.ts";
import type { SourceLimits } from "../sources/source.ts";

type Db = Kysely<Database>;

/** A client of the API waits for the source, and gives up after 30 s. Source: ours. */
export const ASKED_BY_API: SourceLimits = { connectTimeoutMs: 4000, statementTimeoutMs: 10_000 };

/** How a refresh went: its key, and why nothing was refreshed; null when it was. */
export interface RefreshOutcome {
  key: number;
  error: string | null;
}

/** Lists the tables of a source anew. A source that does not answer is told in the outcome; what was known stays. */
export async function refreshTables(db: Db, source: Source, limits = ASKED_BY_API): Promise<RefreshOutcome> {
  const error = await failureOf(async () => {
    await keepTables(db, source.id, await listTables(source, limits));
  });
  return { key: await keepRefresh(db, { sourceId: source.id, error }), error };
}

/** Asks for the columns of one model or table anew; outcome as of `refreshTables`. */
export async function refreshColumns(
  db: Db,
  source: Source,
  wanted: { modelId: number; object: SyncObject } | { tableId: number; object: SyncObject },
): Promise<RefreshOutcome> {
  const { object, ...of } = wanted;
  const error = await failureOf(async () => {
    const columns = await postgresSource.describeObject(source, object, ASKED_BY_API);
    if ("modelId" in of) await keepColumns(db, of.modelId, columns);
    else await keepTableColumns(db, of.tableId, columns);
  });
  return { key: await keepRefresh(db, { sourceId: source.id, ...of, error }), error };
}

/** How a connection test went. */
export interface SourceTest {
  ok: boolean;
  message: string;
  testedAt: Date;
}

/** Tests the connection of a source and keeps the outcome beside it. */
export async function testSource(db: Db, source: Source, now: Date): Promise<SourceTest> {
  let missing: string | null = null;
  const failure = await failureOf(async () => {
    missing = await testPostgres(source, ASKED_BY_API);
  });
  const message = failure ?? missing;
  const ok = message === null;
  await db
    .updateTable("egret.sources")
    .set({ last_test_succeeded: ok, last_tested_at: now })
    .where("id", "=", source.id)
    .execute();
  return { ok, message: message ?? "The source answers.", testedAt: now };
}

/** What a person may read of why it failed; null when it did not. */
async function failureOf(work: () => Promise<void>): Promise<string | null> {
  try {
    await work();
    return null;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const detail = error instanceof RunFailure && error.detail !== null ? ` ${error.detail}.` : "";
    return `${error.message}.${detail}`;
  }
}
