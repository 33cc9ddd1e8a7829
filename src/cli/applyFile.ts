/** Plans and applies an egret.yaml, for `egret apply` and for the demo. */
import type { Kysely } from "kysely";
import { type Applied, applyChanges } from "../configuration/apply.ts";
import { type EgretFile, type ReadOptions, readEgretFile } from "../configuration/egretFile.ts";
import { type Plan, planChanges } from "../configuration/plan.ts";
import type { Database } from "../projections/database.ts";
import { type TestedDestination, testDestinations } from "../runtime/trials/connectionTest.ts";
import type { OutboundSettings } from "../security/outboundPools.ts";
import type { SecretBox } from "../security/secretBox.ts";
import { postgresSource } from "../sources/postgres.ts";
import { VERSION } from "../version.ts";
import { type Resend, resendsOf } from "./resends.ts";

/** What planning and applying need. */
export interface Desk {
  db: Kysely<Database>;
  box: SecretBox;
}

/** A file and what it would change. */
export interface PlannedFile {
  file: EgretFile;
  plan: Plan;
  /** What the next runs send again because of it. */
  resends: Resend[];
}

/**
 * Reads the file, asks its sources, and compares with what is configured; changes nothing.
 * @throws InvalidInput with every fault, each with its place.
 */
export async function planFile({ db, box }: Desk, path: string, options: ReadOptions): Promise<PlannedFile> {
  const file = await readEgretFile(path, options);
  const describe: Parameters<typeof planChanges>[0]["describe"] = (source, object) =>
    postgresSource.describeObject(source, object);
  const plan = await planChanges({ db, box, file, describe });
  return { file, plan, resends: await resendsOf({ db, box }, plan) };
}

/** Makes the plan true; all of it or nothing. */
export function applyPlan({ db, box }: Desk, plan: Plan): Promise<Applied> {
  return applyChanges({ db, box, plan, actor: "egret apply" });
}

/** Ids by which subjects name what a workspace has. */
export interface ConfiguredIds {
  workspaceId: number;
  syncs: { id: number; name: string }[];
  webhooks: { id: number; name: string }[];
}

/** Reads the ids of a workspace's syncs and webhooks; null when there is no such workspace. */
export async function readIds(db: Kysely<Database>, workspace: string): Promise<ConfiguredIds | null> {
  const row = await db
    .selectFrom("egret.workspaces")
    .select("id")
    .where("name", "=", workspace)
    .executeTakeFirst();
  if (row === undefined) return null;
  const named = (table: "egret.syncs" | "egret.webhooks") =>
    db.selectFrom(table).select(["id", "name"]).where("workspace_id", "=", row.id).orderBy("id").execute();
  const [syncs, webhooks] = [await named("egret.syncs"), await named("egret.webhooks")];
  return { workspaceId: row.id, syncs, webhooks };
}

/** Tests the connection of each destination that the plan made or changed, and keeps the outcome beside it. */
export async function testChangedDestinations(
  { db, box }: Desk,
  plan: Plan,
  outbound: OutboundSettings,
): Promise<TestedDestination[]> {
  const names = plan.changes
    .filter(({ kind, action }) => kind === "destination" && (action === "create" || action === "update"))
    .map(({ name }) => name);
  if (names.length === 0) return [];
  const rows = await db
    .selectFrom("egret.destinations as destination")
    .innerJoin("egret.workspaces as workspace", "workspace.id", "destination.workspace_id")
    .select("destination.id")
    .where("workspace.name", "=", plan.workspace)
    .where("destination.name", "in", names)
    .orderBy("destination.id")
    .execute();
  return testDestinations(
    { db, box, version: VERSION },
    rows.map(({ id }) => id),
    outbound,
  );
}
