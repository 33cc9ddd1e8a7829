/** Makes and changes models for both of their names in the API, and reads them page by page. */

import { z } from "@hono/zod-openapi";
import type { Kysely } from "kysely";
import type { ExpectedVersions } from "../../configuration/expectedVersions.ts";
import { createObject, type EntryOf, updateObject } from "../../configuration/objectDesk.ts";
import type { Database } from "../../projections/database.ts";
import type { ApiDesk } from "./apiDesk.ts";
import { configurationDesk } from "./configurationDesk.ts";
import { namingFields } from "./fieldNames.ts";
import { type ModelRow, selectModels } from "./objects/model.ts";
import type { SourceRow } from "./objects/source.ts";
import type { cutOf } from "./paging.ts";

/** Longer queries are no queries that people write. Source: ours. */
const MAX_QUERY_LETTERS = 100_000;

/** The query of a model or dataset. */
export const queryText = z
  .string({ error: "Write one SELECT." })
  .max(MAX_QUERY_LETTERS, { error: `A query has at most ${MAX_QUERY_LETTERS} characters.` })
  .openapi({ description: "exactly one SELECT or WITH statement" });

/** Its description: kept and shown, nothing more. */
export const descriptionSchema = z
  .string({ error: "Must be a text, or null for none." })
  .max(5000, { error: "A description has at most 5000 characters." })
  .nullish();

/** Makes a model over a source; gives its id. */
export async function makeModel(
  desk: ApiDesk,
  input: {
    source: SourceRow;
    actor: string;
    name: string;
    query: string;
    description?: string | null | undefined;
  },
): Promise<number> {
  const { source, actor, name, query, description } = input;
  const made = await namingFields(nameOf, () =>
    createObject(configurationDesk(desk), {
      workspaceId: source.workspace_id,
      actor,
      kind: "model",
      label: name,
      entry: { source: source.name, query },
      attributes: typeof description === "string" ? { description } : {},
    }),
  );
  return made.id;
}

/** Changes what is given of a model. */
export async function changeModel(
  desk: ApiDesk,
  input: {
    workspaceId: number;
    id: number;
    actor: string;
    expectedVersions: ExpectedVersions;
    name?: string | undefined;
    query?: string | undefined;
    description?: string | null | undefined;
  },
): Promise<void> {
  const { name, query, description, ...rest } = input;
  await namingFields(nameOf, () =>
    updateObject(configurationDesk(desk), {
      ...rest,
      kind: "model",
      ...(name === undefined ? {} : { label: name }),
      edit: (entry: EntryOf["model"]) => (query === undefined ? entry : { ...entry, query }),
      ...(description === undefined ? {} : { attributes: { description } }),
    }),
  );
}

/** A model is called by its name, and reads from the source in the path or in `source_id`. */
function nameOf(field: string): string {
  if (field === "source") return "source_id";
  return field === "label" ? "name" : field;
}

/** One page of the models of a workspace, or of one of its sources. */
export async function readModelPage(
  db: Kysely<Database>,
  { workspaceId, sourceId }: { workspaceId: number; sourceId?: number },
  { limit, offset, order, afterId }: ReturnType<typeof cutOf>,
): Promise<{ rows: ModelRow[]; total: number }> {
  let all = selectModels(db, workspaceId);
  if (sourceId !== undefined) all = all.where("source_id", "=", sourceId);
  const page = afterId === null ? all : all.where("id", order === "asc" ? ">" : "<", afterId);
  const counted = all.clearSelect().select(({ fn }) => fn.countAll<number>().as("total"));
  const [rows, { total }] = await Promise.all([
    page.orderBy("id", order).limit(limit).offset(offset).execute(),
    counted.executeTakeFirstOrThrow(),
  ]);
  return { rows, total };
}
