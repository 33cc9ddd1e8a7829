/** Links to pages for a person without an account: each for one workspace and one purpose, for a while, and for one change. */
import { createHash, randomBytes } from "node:crypto";
import { type Kysely, type Selectable, sql } from "kysely";
import { InvalidInput } from "../domain/errors.ts";
import type { Database } from "../projections/database.ts";
import type { LinkPurpose, LinkTable } from "../projections/linkTable.ts";
import type { SecretBox } from "../security/secretBox.ts";

type Db = Kysely<Database>;

/** How long a link works unless something else is asked for, seconds. Source: ours. */
export const LINK_LIFETIME_S = 3_600;
/** The longest that can be asked for, seconds. Source: ours. */
export const MAX_LINK_LIFETIME_S = 7 * 86_400;

const TOKEN_BYTES = 32;
/** A link is listed for so long after it stopped working. */
const KEPT = "30 days";

/** A link without its token. */
export type Link = Omit<Selectable<LinkTable>, "token_sha256" | "sealed">;

/** A link with its token, which is null once it is of no use. */
export interface ShownLink extends Link {
  token: string | null;
}

/** What a link is to be for. */
export interface NewLink {
  workspaceId: number;
  purpose: LinkPurpose;
  type: string | null;
  sourceId?: number;
  destinationId?: number;
  syncId?: number;
  /** http:// or https://, as the caller has checked. */
  redirectUri: string | null;
  lifetimeS: number;
  actor: string;
}

const COLUMNS = [
  "id",
  "workspace_id",
  "purpose",
  "type",
  "source_id",
  "destination_id",
  "sync_id",
  "redirect_uri",
  "created_by",
  "created_at",
  "expires_at",
  "used_at",
  "revoked_at",
] as const;

const hashOf = (token: string): Buffer => createHash("sha256").update(token).digest();
/** The hash is unique, and known before the row has its id. */
const purposeOf = (tokenSha256: Buffer): string => `link ${tokenSha256.toString("hex")}`;

/** Makes a link; its token is found again by its hash alone. */
export async function createLink(db: Db, box: SecretBox, link: NewLink): Promise<ShownLink> {
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  const hash = hashOf(token);
  await sql`
    delete from egret.links
    where workspace_id = ${link.workspaceId} and expires_at < now() - ${sql.lit(KEPT)}::interval`.execute(db);
  const row = await db
    .insertInto("egret.links")
    .values({
      workspace_id: link.workspaceId,
      purpose: link.purpose,
      type: link.type,
      source_id: link.sourceId ?? null,
      destination_id: link.destinationId ?? null,
      sync_id: link.syncId ?? null,
      redirect_uri: link.redirectUri,
      token_sha256: hash,
      sealed: box.seal(purposeOf(hash), token),
      created_by: link.actor,
      expires_at: sql<Date>`now() + ${link.lifetimeS} * interval '1 second'`,
    })
    .returning(COLUMNS)
    .executeTakeFirstOrThrow();
  return { ...row, token };
}

/** The link of a token, whether or not it still works; null for a token that there is not. */
export async function findLink(db: Db, token: string): Promise<Link | null> {
  // Found by its hash: what a token shares with another one does not show in the time it takes.
  const row = await db
    .selectFrom("egret.links")
    .select(COLUMNS)
    .where("token_sha256", "=", hashOf(token))
    .executeTakeFirst();
  return row ?? null;
}

/** Why a link does not work, or null when it does. */
export function linkFault(link: Link, now: Date): "used" | "revoked" | "expired" | null {
  if (link.used_at !== null) return "used";
  if (link.revoked_at !== null) return "revoked";
  return link.expires_at <= now ? "expired" : null;
}

/** Which links of a workspace, and where the page is cut. */
export interface WantedLinks {
  workspaceId: number;
  purposes: readonly LinkPurpose[];
  limit: number;
  offset: number;
  order: "asc" | "desc";
  afterId: number | null;
}

/** A page of links, those that no longer work included, and how many there are in all. */
export async function pageOfLinks(
  db: Db,
  box: SecretBox,
  { workspaceId, purposes, limit, offset, order, afterId }: WantedLinks,
): Promise<{ rows: ShownLink[]; total: number }> {
  const query = db
    .selectFrom("egret.links")
    .where("workspace_id", "=", workspaceId)
    .where("purpose", "in", purposes);
  const page = afterId === null ? query : query.where("id", order === "desc" ? "<" : ">", afterId);
  const [rows, { total }] = await Promise.all([
    page
      .select([...COLUMNS, "sealed", "token_sha256"])
      .orderBy("id", order)
      .limit(limit)
      .offset(offset)
      .execute(),
    query.select(({ fn }) => fn.countAll<number>().as("total")).executeTakeFirstOrThrow(),
  ]);
  return { rows: rows.map((row) => shown(box, row)), total };
}

function shown(
  box: SecretBox,
  row: Link & Pick<Selectable<LinkTable>, "sealed" | "token_sha256">,
): ShownLink {
  const { sealed, token_sha256: hash, ...link } = row;
  if (sealed === null) return { ...link, token: null };
  try {
    return { ...link, token: box.open(purposeOf(hash), sealed) };
  } catch (error) {
    // Sealed with a key that is no longer given: its link still works, but the list cannot show it.
    if (error instanceof InvalidInput) return { ...link, token: null };
    throw error;
  }
}

/** Which link of a workspace. */
export interface LinkPlace {
  workspaceId: number;
  id: number;
  purposes: readonly LinkPurpose[];
}

/** Takes a link out of force, for good; one that was used or revoked before stays as it is. Null when there is none such. */
export async function revokeLink(db: Db, { workspaceId, id, purposes }: LinkPlace): Promise<Link | null> {
  await db
    .updateTable("egret.links")
    .set({ revoked_at: sql<Date>`now()`, sealed: null })
    .where("workspace_id", "=", workspaceId)
    .where("id", "=", id)
    .where("purpose", "in", purposes)
    .where("revoked_at", "is", null)
    .where("used_at", "is", null)
    .execute();
  const row = await db
    .selectFrom("egret.links")
    .select(COLUMNS)
    .where("workspace_id", "=", workspaceId)
    .where("id", "=", id)
    .where("purpose", "in", purposes)
    .executeTakeFirst();
  return row ?? null;
}

/** Deletes a link, which ends it as well; false when there is none such. */
export async function deleteLink(db: Db, { workspaceId, id, purposes }: LinkPlace): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom("egret.links")
    .where("workspace_id", "=", workspaceId)
    .where("id", "=", id)
    .where("purpose", "in", purposes)
    .executeTakeFirst();
  return numDeletedRows === 1n;
}

/** What was made or changed with a link. */
export interface LinkOutcome {
  source_id?: number;
  destination_id?: number;
  sync_id?: number;
}

/**
 * Lets one of several who save at once do so. While `save` is under way the link counts as used; when that throws it
 * works again. Returns null without saving when the link does not work.
 */
export async function useLink<T>(
  db: Db,
  linkId: number,
  save: () => Promise<{ value: T; outcome: LinkOutcome }>,
): Promise<T | null> {
  const { numUpdatedRows } = await db
    .updateTable("egret.links")
    .set({ used_at: sql<Date>`now()` })
    .where("id", "=", linkId)
    .where("used_at", "is", null)
    .where("revoked_at", "is", null)
    .where("expires_at", ">", sql<Date>`now()`)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) return null;
  let saved: { value: T; outcome: LinkOutcome };
  try {
    saved = await save();
  } catch (error) {
    // After a crash in between it stays used: then nobody saves twice, and another link is asked for.
    await db.updateTable("egret.links").set({ used_at: null }).where("id", "=", linkId).execute();
    throw error;
  }
  await db
    .updateTable("egret.links")
    .set({ ...saved.outcome, sealed: null })
    .where("id", "=", linkId)
    .execute();
  return saved.value;
}
