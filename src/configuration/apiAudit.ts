/** Who wrote what through the management API and the pages behind links, and from where; never with what was sent. */
import { type Kysely, type Selectable, sql } from "kysely";
import type { ApiAuditTable } from "../projections/apiTables.ts";
import type { Database } from "../projections/database.ts";

/** A writing request that got past its token, or a form that was sent with a link. */
export type AuditEntry = Omit<Selectable<ApiAuditTable>, "id">;

/** An entry as it stands. */
export type StoredAuditEntry = Selectable<ApiAuditTable>;

/** Writes entries in one statement. */
export async function insertAuditEntries(
  db: Kysely<Database>,
  entries: readonly AuditEntry[],
): Promise<void> {
  // As one parameter: their number is not bounded by how many parameters a statement can have.
  await sql`
    insert into egret.api_audit
      (at, token_id, link_id, token_name, workspace_id, method, route, object_id, status, address, user_agent, request_id)
    select at, token_id, link_id, token_name, workspace_id, method, route, object_id, status, address, user_agent, request_id
    from jsonb_to_recordset(${JSON.stringify(entries)}::jsonb) as entry (
      at timestamptz, token_id bigint, link_id bigint, token_name text, workspace_id bigint, method text,
      route text, object_id text, status integer, address text, user_agent text, request_id text)`.execute(
    db,
  );
}

/** Entries of a workspace in order of writing, and how many there are in all. */
export async function listAuditEntries(
  db: Kysely<Database>,
  workspaceId: number,
  cut: { limit: number; offset: number; order: "asc" | "desc"; afterId: number | null },
): Promise<{ rows: StoredAuditEntry[]; total: number }> {
  const all = db.selectFrom("egret.api_audit").where("workspace_id", "=", workspaceId);
  const { total } = await all
    .select((select) => select.fn.countAll<number>().as("total"))
    .executeTakeFirstOrThrow();
  let page = all.selectAll().orderBy("id", cut.order).limit(cut.limit).offset(cut.offset);
  if (cut.afterId !== null) page = page.where("id", cut.order === "asc" ? ">" : "<", cut.afterId);
  return { rows: await page.execute(), total };
}
