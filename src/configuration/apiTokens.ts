/** Tokens of the management API as they stand in our Postgres: hashed, but for the one key of a workspace that can be read back. */
import { type Kysely, type Selectable, sql } from "kysely";
import type { ApiTokenTable } from "../projections/apiTables.ts";
import type { Database } from "../projections/database.ts";
import { apiTokenHash, newApiToken, type Scope, withIncluded } from "../security/apiToken.ts";
import type { SecretBox } from "../security/secretBox.ts";

/** A token as it may be shown. A workspace key stands for one workspace, a personal token for the installation. */
export interface ApiToken {
  id: number;
  kind: "workspace" | "personal";
  workspaceId: number | null;
  name: string;
  scopes: Scope[];
  createdBy: string;
  createdAt: Date;
  lastUsedAt: Date | null;
  expiresAt: Date | null;
  revokedAt: Date | null;
}

/** What a new token is to be; `workspaceId` null makes a personal one. */
export interface NewApiToken {
  workspaceId: number | null;
  name: string;
  scopes: readonly Scope[];
  expiresAt?: Date | null;
  /** Who makes it, such as `egret token create`. */
  actor: string;
}

/** Makes a token; it is in the answer and, unless it is asked to be `sealed`, nowhere else readable. */
export async function createApiToken(
  db: Kysely<Database>,
  wanted: NewApiToken,
): Promise<{ id: number; token: string }> {
  const token = newApiToken();
  return { id: await insertToken(db, wanted, { token, sealed: null }), token };
}

async function insertToken(
  db: Kysely<Database>,
  { workspaceId, name, scopes, expiresAt = null, actor }: NewApiToken,
  { token, sealed }: { token: string; sealed: string | null },
): Promise<number> {
  const { id } = await db
    .insertInto("egret.api_tokens")
    .values({
      kind: workspaceId === null ? "personal" : "workspace",
      workspace_id: workspaceId,
      name,
      scopes: withIncluded(scopes),
      token_sha256: apiTokenHash(token),
      sealed,
      created_by: actor,
      expires_at: expiresAt,
    })
    .returning("id")
    .executeTakeFirstOrThrow();
  return id;
}

/** A token in force with the hash that it is found by. */
export interface HashedToken extends ApiToken {
  hash: Buffer;
}

/** The tokens of these hashes that are in force. */
export async function findApiTokens(db: Kysely<Database>, hashes: readonly Buffer[]): Promise<HashedToken[]> {
  const rows = await db
    .selectFrom("egret.api_tokens")
    .selectAll()
    .where("token_sha256", "=", sql<Buffer>`any(${hashes})`)
    .where("revoked_at", "is", null)
    .where((is) => is.or([is("expires_at", "is", null), is("expires_at", ">", sql<Date>`now()`)]))
    .execute();
  return rows.map((row) => Object.assign(toToken(row), { hash: row.token_sha256 }));
}

function toToken(row: Selectable<ApiTokenTable>): ApiToken {
  return {
    id: row.id,
    kind: row.kind,
    workspaceId: row.workspace_id,
    name: row.name,
    scopes: row.scopes as Scope[],
    createdBy: row.created_by,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
  };
}

/** Where a list of tokens is cut. */
interface Cut {
  limit: number;
  offset: number;
  order: "asc" | "desc";
  afterId: number | null;
}

/** The tokens of a workspace, or the personal ones for null, revoked ones included; and how many there are in all. */
export async function listApiTokens(
  db: Kysely<Database>,
  workspaceId: number | null,
  { limit, offset, order, afterId }: Cut = { limit: 1_000, offset: 0, order: "asc", afterId: null },
): Promise<{ rows: ApiToken[]; total: number }> {
  const all = db
    .selectFrom("egret.api_tokens")
    .where("workspace_id", workspaceId === null ? "is" : "=", workspaceId);
  const { total } = await all
    .select((select) => select.fn.countAll<number>().as("total"))
    .executeTakeFirstOrThrow();
  let page = all.selectAll().orderBy("id", order).limit(limit).offset(offset);
  if (afterId !== null) page = page.where("id", order === "asc" ? ">" : "<", afterId);
  return { rows: (await page.execute()).map(toToken), total };
}

/** One token of a workspace, or a personal one for null; null when there is none such. */
export async function readApiToken(
  db: Kysely<Database>,
  { workspaceId, id }: { workspaceId: number | null; id: number },
): Promise<ApiToken | null> {
  const row = await db
    .selectFrom("egret.api_tokens")
    .selectAll()
    .where("id", "=", id)
    .where("workspace_id", workspaceId === null ? "is" : "=", workspaceId)
    .executeTakeFirst();
  return row === undefined ? null : toToken(row);
}

/** Takes a token out of force, for good; false when there is none such, or it was revoked before. */
export async function revokeApiToken(
  db: Kysely<Database>,
  { workspaceId, id }: { workspaceId: number | null; id: number },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable("egret.api_tokens")
    .set({ revoked_at: sql<Date>`now()` })
    .where("id", "=", id)
    .where("workspace_id", workspaceId === null ? "is" : "=", workspaceId)
    .where("revoked_at", "is", null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Notes that tokens were used at these times. */
export async function noteTokensUsed(db: Kysely<Database>, uses: ReadonlyMap<number, Date>): Promise<void> {
  await sql`
    update egret.api_tokens set last_used_at = greatest(last_used_at, use.at)
    from unnest(${[...uses.keys()]}::bigint[], ${[...uses.values()]}::timestamptz[]) as use (id, at)
    where api_tokens.id = use.id`.execute(db);
}

const sealPurpose = (workspaceId: number): string => `api key of workspace ${workspaceId}`;
const READABLE_KEY_NAME = "workspace key";

/**
 * The key of a workspace that holders of a personal token can read back, made when it is first asked for. Clients such as
 * a Terraform provider fetch it before each operation, so a hash alone cannot serve them: it is the one token that is
 * kept, encrypted, and bound to its workspace.
 */
export async function readableWorkspaceKey(
  db: Kysely<Database>,
  box: SecretBox,
  { workspaceId, actor }: { workspaceId: number; actor: string },
): Promise<string> {
  const read = async (): Promise<string | null> => {
    const row = await db
      .selectFrom("egret.api_tokens")
      .select("sealed")
      .where("workspace_id", "=", workspaceId)
      .where("sealed", "is not", null)
      .where("revoked_at", "is", null)
      .executeTakeFirst();
    return row === undefined || row.sealed === null ? null : box.open(sealPurpose(workspaceId), row.sealed);
  };
  const standing = await read();
  if (standing !== null) return standing;
  const token = newApiToken();
  const sealed = box.seal(sealPurpose(workspaceId), token);
  try {
    const wanted = { workspaceId, name: READABLE_KEY_NAME, scopes: ["admin"], actor } as const;
    await insertToken(db, wanted, { token, sealed });
    return token;
  } catch (error) {
    // Two asked at once: the other one's key is the one that stands.
    const other = (error as { code?: string }).code === "23505" ? await read() : null;
    if (other === null) throw error;
    return other;
  }
}
