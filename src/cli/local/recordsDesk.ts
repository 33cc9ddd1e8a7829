/** Rows of runs over our Postgres. */
import type { Kysely } from "kysely";
import { NotFound } from "../../domain/errors.ts";
import { exportTexts } from "../../engine/recordExport.ts";
import { areRecordsKept, countRecords, findRecords, listRecords } from "../../engine/recordQueries.ts";
import { RECORD_STATUSES, type RecordFilter } from "../../engine/records.ts";
import { type Database, openDatabase, pingDatabase } from "../../projections/database.ts";
import { getRun } from "../../projections/runs.ts";
import type { RecordsDesk, WantedRecords } from "../desks.ts";
import { findSyncNamed, findWorkspace } from "../findConfigured.ts";
import { databaseUrlOf, findServices, type ReachOptions, withDatabase } from "../reach.ts";

/** The desk. */
export async function localRecordsDesk(options: ReachOptions): Promise<RecordsDesk> {
  const reach = await findServices(options);
  return {
    list: ({ after, limit, isCounted, ...wanted }) =>
      withDatabase(reach, async ({ db }) => {
        const filter = await filterOf(db, wanted);
        const counts = isCounted ? await countRecords(db, filter) : null;
        return {
          found: await listRecords(db, { ...filter, after, limit: limit + 1 }),
          counts: counts && new Map(RECORD_STATUSES.map((status) => [status, counts[status].rows])),
          isKept: await areRecordsKept(db, filter.runId),
        };
      }),
    async *export(wanted, form, onBegin) {
      const database = openDatabase(databaseUrlOf(reach), { maxConnections: 4 });
      try {
        await pingDatabase(database);
        const filter = await filterOf(database.db, wanted);
        onBegin({ isKept: await areRecordsKept(database.db, filter.runId) });
        yield* exportTexts(database.db, filter, form);
      } finally {
        await database.close();
      }
    },
    find: ({ name, workspace, key: identifier, limit }) =>
      withDatabase(reach, async ({ db }) => {
        const { id: syncId } = await findSyncNamed(db, await findWorkspace(db, workspace), name);
        return findRecords(db, { syncId, identifier, limit });
      }),
  };
}

/** @throws NotFound when there is no such run, or it is one that keeps no rows. */
async function filterOf(db: Kysely<Database>, wanted: WantedRecords): Promise<RecordFilter> {
  const { runId: id } = wanted;
  const run = await getRun(db, id);
  if (run === null) throw new NotFound(`there is no run ${id}; \`egret runs\` lists the latest`);
  if (run.run_kind !== "normal") {
    throw new NotFound(`run ${id} was a ${run.run_kind} run: rows are kept of runs that send them all`);
  }
  return { ...wanted, syncId: run.sync_id };
}
