/** Finds workspaces and syncs by what people type, with messages that help when there are none. */
import type { Kysely } from "kysely";
import { suggestion } from "../configuration/nearest.ts";
import { InvalidInput, NotFound } from "../domain/errors.ts";
import type { Database } from "../projections/database.ts";

/** A configured object by id and name. */
export interface Named {
  id: number;
  name: string;
}

const isId = (text: string): boolean => /^\d{1,15}$/.test(text);

/**
 * The workspace that is meant; when there is only one, it need not be named.
 * @throws NotFound or InvalidInput naming those that there are.
 */
export async function findWorkspace(db: Kysely<Database>, wanted: string | undefined): Promise<Named> {
  const all = await db.selectFrom("egret.workspaces").select(["id", "name"]).orderBy("name").execute();
  if (all.length === 0)
    throw new NotFound("nothing is configured yet: write an egret.yaml and run `egret apply`");
  if (wanted === undefined) {
    const [only, another] = all;
    if (only !== undefined && another === undefined) return only;
    const names = all.map(({ name }) => name).join(", ");
    throw new InvalidInput(`there are several workspaces (${names}): name one with --workspace`);
  }
  const found = all.find(({ id, name }) => (isId(wanted) ? id === Number(wanted) : name === wanted));
  if (found !== undefined) return found;
  throw new NotFound(
    `there is no workspace "${wanted}".${suggestion(
      wanted,
      all.map(({ name }) => name),
    )}`,
  );
}

/**
 * A sync of a workspace by name or id.
 * @throws NotFound naming the nearest, or those that there are.
 */
export function findSyncNamed(db: Kysely<Database>, workspace: Named, wanted: string): Promise<Named> {
  return findNamed(db, workspace, { kind: "sync", wanted });
}

/**
 * A webhook of a workspace by name or id.
 * @throws NotFound naming the nearest, or those that there are.
 */
export function findWebhookNamed(db: Kysely<Database>, workspace: Named, wanted: string): Promise<Named> {
  return findNamed(db, workspace, { kind: "webhook", wanted });
}

/**
 * A destination of a workspace by name or id.
 * @throws NotFound naming the nearest, or those that there are.
 */
export function findDestinationNamed(db: Kysely<Database>, workspace: Named, wanted: string): Promise<Named> {
  return findNamed(db, workspace, { kind: "destination", wanted });
}

/**
 * A source of a workspace by name or id.
 * @throws NotFound naming the nearest, or those that there are.
 */
export function findSourceNamed(db: Kysely<Database>, workspace: Named, wanted: string): Promise<Named> {
  return findNamed(db, workspace, { kind: "source", wanted });
}

const TABLES = {
  source: "egret.sources",
  sync: "egret.syncs",
  webhook: "egret.webhooks",
  destination: "egret.destinations",
} as const;

async function findNamed(
  db: Kysely<Database>,
  workspace: Named,
  { kind, wanted }: { kind: keyof typeof TABLES; wanted: string },
): Promise<Named> {
  const all = await db
    .selectFrom(TABLES[kind])
    .select(["id", "name"])
    .where("workspace_id", "=", workspace.id)
    .orderBy("name")
    .execute();
  const found = all.find(({ id, name }) => (isId(wanted) ? id === Number(wanted) : name === wanted));
  if (found !== undefined) return found;
  const hint =
    all.length === 0
      ? ` It has no ${kind}s.`
      : suggestion(
          wanted,
          all.map(({ name }) => name),
        );
  throw new NotFound(`there is no ${kind} "${wanted}" in workspace ${workspace.name}.${hint}`);
}
