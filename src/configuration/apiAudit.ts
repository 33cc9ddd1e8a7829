/** Who wrote what through the management API and the pages behind links, and from where; never with what was sent. */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Kysely, Selectable } from "kysely";
import type { Pool } from "pg";
import copyStreams from "pg-copy-streams";
import type { ApiAuditTable } from "../projections/apiTables.ts";
import { COPY_NULL, copyText } from "../projections/copyText.ts";
import type { Database } from "../projections/database.ts";

/** A writing request that got past its token, or a form that was sent with a link. */
export type AuditEntry = Omit<Selectable<ApiAuditTable>, "id">;

/** An entry as it stands. */
export type StoredAuditEntry = Selectable<ApiAuditTable>;

const COPY = `COPY egret.api_audit (at, token_id, link_id, token_name, workspace_id, method, route, object_id, status, address,
  user_agent, request_id) FROM STDIN`;

/** An entry as COPY reads it. Made when the entry is: thousands made together would hold up requests. */
export type AuditLine = string;

/** Writes entries, all or none. By COPY, since under load there are thousands a second: half of what an INSERT costs Postgres. */
export async function writeAuditLines(pool: Pool, lines: readonly AuditLine[]): Promise<void> {
  const client = await pool.connect();
  try {
    await pipeline(Readable.from([lines.join("")]), client.query(copyStreams.from(COPY)));
  } catch (error) {
    // What state the connection is in nobody knows.
    client.release(true);
    throw error;
  }
  client.release();
}

/** The line of an entry, its columns in the order in which COPY wants them. */
export function auditLine(entry: AuditEntry): AuditLine {
  const { token_id, link_id, workspace_id, method, route, object_id, status } = entry;
  const by = `${token_id ?? COPY_NULL}\t${link_id ?? COPY_NULL}\t${copyText(entry.token_name)}\t${workspace_id ?? COPY_NULL}`;
  const what = `${copyText(method)}\t${copyText(route)}\t${copyText(object_id)}\t${status}`;
  const whence = `${copyText(entry.address)}\t${copyText(entry.user_agent)}\t${copyText(entry.request_id)}`;
  return `${entry.at.toISOString()}\t${by}\t${what}\t${whence}\n`;
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
