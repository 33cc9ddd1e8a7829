/** A source as the API shows it and looks it up; of its credentials only what is no secret. */
import { z } from "@hono/zod-openapi";
import type { Kysely, Selectable } from "kysely";
import { secretPurpose } from "../../../configuration/secretPurpose.ts";
import { connectionDetails } from "../../../configuration/sourceCredentials.ts";
import { readSource } from "../../../configuration/store.ts";
import type { Source } from "../../../domain/configuration.ts";
import { NotFound } from "../../../domain/errors.ts";
import type { SourceTable } from "../../../projections/configurationTables.ts";
import type { Database } from "../../../projections/database.ts";
import type { SecretBox } from "../../../security/secretBox.ts";
import { instant, instantOrNull } from "../answers.ts";

export const sourceSchema = z
  .object({
    id: z.int(),
    name: z.string(),
    label: z.string().nullable(),
    type: z.string().openapi({ example: "postgres" }),
    sync_engine: z.enum(["basic", "advanced"]),
    connection_details: z
      .record(z.string(), z.unknown())
      .openapi({ description: "the credentials without the secret ones" }),
    read_only_connection: z
      .boolean()
      .openapi({ description: "whether nothing at all is written to the source" }),
    last_test_succeeded: z.boolean().nullable().openapi({ description: "null: never tested" }),
    last_tested_at: z.iso.datetime().nullable(),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .openapi("Source");

/** A source's row. */
export type SourceRow = Selectable<SourceTable>;

/** Query over the sources of a workspace. */
export function selectSources(db: Kysely<Database>, workspaceId: number) {
  return db.selectFrom("egret.sources").selectAll().where("workspace_id", "=", workspaceId);
}

interface Place {
  workspaceId: number;
  id: number;
}

/**
 * The source of a workspace.
 * @throws NotFound when it has none of that id.
 */
export async function readSourceRow(db: Kysely<Database>, { workspaceId, id }: Place): Promise<SourceRow> {
  const row = await selectSources(db, workspaceId).where("id", "=", id).executeTakeFirst();
  if (row === undefined) throw new NotFound(`there is no source ${id}`);
  return row;
}

/**
 * The same as what can be asked, with its address.
 * @throws NotFound when the workspace has none of that id.
 */
export async function findSource(db: Kysely<Database>, box: SecretBox, place: Place): Promise<Source> {
  await readSourceRow(db, place);
  const source = await readSource(db, box, place.id);
  if (source === null) throw new NotFound(`source ${place.id} was deleted meanwhile`);
  return source;
}

/** Name of the database that a source reads from. */
export function databaseOf({ url }: Source): string {
  return String(connectionDetails(url)["database"] ?? "");
}

/** The source as clients read it. One that came from a file is called by its short name. */
export function presentSource(row: SourceRow, box: SecretBox): z.infer<typeof sourceSchema> {
  const url = box.open(secretPurpose("source", row.workspace_id, row.name), row.secret);
  const isAdvanced = row.settings["sync_engine"] === "advanced";
  const schema = isAdvanced ? { state_schema: row.settings["state_schema"] } : {};
  return {
    id: row.id,
    name: row.label ?? row.name,
    label: row.label ?? row.name,
    type: row.type,
    sync_engine: isAdvanced ? "advanced" : "basic",
    connection_details: { ...connectionDetails(url), ...schema },
    read_only_connection: !isAdvanced,
    last_test_succeeded: row.last_test_succeeded,
    last_tested_at: instantOrNull(row.last_tested_at),
    created_at: instant(row.created_at),
    updated_at: instant(row.updated_at),
  };
}
