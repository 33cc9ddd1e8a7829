/** Syncs over our Postgres. */
import type { Kysely } from "kysely";
import { setPaused } from "../../configuration/operations.ts";
import { listSchedules } from "../../configuration/schedules.ts";
import { NotFound } from "../../domain/errors.ts";
import type { Database } from "../../projections/database.ts";
import type { ShownSync, SyncsDesk } from "../desks.ts";
import { findSyncNamed, findWorkspace } from "../findConfigured.ts";
import { findServices, type ReachOptions, secretBoxOf, withDatabase } from "../reach.ts";

/** The desk. */
export async function localSyncsDesk(options: ReachOptions): Promise<SyncsDesk> {
  const reach = await findServices(options);
  return {
    list: ({ workspace }) =>
      withDatabase(reach, async ({ db }) =>
        listSyncs(db, workspace === undefined ? undefined : (await findWorkspace(db, workspace)).id),
      ),
    show: ({ name, workspace: wanted }) =>
      withDatabase(reach, async ({ db }) => {
        const workspace = await findWorkspace(db, wanted);
        const { id } = await findSyncNamed(db, workspace, name);
        const found = (await listSyncs(db, workspace.id)).find((sync) => sync.id === id);
        if (found === undefined) throw new NotFound(`sync ${name} was deleted meanwhile`);
        return found;
      }),
    setPaused: ({ name: wanted, workspace }, paused) => {
      const box = secretBoxOf(reach);
      return withDatabase(reach, async ({ db }) => {
        const { id, name } = await findSyncNamed(db, await findWorkspace(db, workspace), wanted);
        const operation = {
          db,
          box,
          kind: "sync",
          id,
          actor: `egret sync ${paused ? "pause" : "resume"}`,
        } as const;
        const isChanged = await setPaused(operation, paused);
        return { name, isChanged, isPausedByFile: await isPausedByFile(db, id) };
      });
    },
  };
}

async function isPausedByFile(db: Kysely<Database>, id: number): Promise<boolean> {
  const row = await db.selectFrom("egret.syncs").select("options").where("id", "=", id).executeTakeFirst();
  return row?.options["paused"] === true;
}

/** By workspace and name. */
async function listSyncs(db: Kysely<Database>, workspaceId: number | undefined): Promise<ShownSync[]> {
  const schedules = await listSchedules(db, workspaceId === undefined ? {} : { workspaceId });
  const rows = await db
    .selectFrom("egret.syncs as sync")
    .innerJoin("egret.sources as source", "source.id", "sync.source_id")
    .innerJoin("egret.destinations as destination", "destination.id", "sync.destination_id")
    .leftJoin("egret.models as model", "model.id", "sync.model_id")
    .leftJoin("egret_read.syncs as known", "known.id", "sync.id")
    .select(["sync.id", "sync.operation", "sync.table_schema", "sync.table_name", "model.name as model"])
    .select(["source.name as source", "destination.name as destination"])
    .select(["known.status", "known.last_run_id", "known.last_run_at"])
    .execute();
  const byId = new Map(rows.map((row) => [row.id, row]));
  return schedules.flatMap(({ sync_id: id, sync_name: name, paused, schedule_words, next_tick_at }) => {
    const row = byId.get(id);
    if (row === undefined) return [];
    const { operation, source, destination, last_run_id, last_run_at } = row;
    return {
      id,
      name,
      status: row.status ?? "ready",
      paused,
      operation,
      source,
      object: row.model ?? `${row.table_schema}.${row.table_name}`,
      destination,
      schedule: schedule_words,
      next_run_at: next_tick_at,
      last_run_id,
      last_run_at,
    };
  });
}
