/** The first token of an installation: without it nobody could ask the API for one. */
import type { Kysely } from "kysely";
import { createApiToken } from "../configuration/apiTokens.ts";
import type { Database } from "../projections/database.ts";

/** A personal token where there was never a token at all, else null; to be shown this once. */
export async function firstToken(db: Kysely<Database>, actor: string): Promise<string | null> {
  const any = await db.selectFrom("egret.api_tokens").select("id").limit(1).executeTakeFirst();
  if (any !== undefined) return null;
  const { token } = await createApiToken(db, {
    workspaceId: null,
    name: "first token",
    scopes: ["admin"],
    actor,
  });
  return token;
}
