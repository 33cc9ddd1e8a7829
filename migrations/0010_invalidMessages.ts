/** Why a row was set aside: a template that failed, a value that could not be cast, a record too long. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- Holds names of fields and kinds of faults, never a value of the row.
    alter table egret.invalid_rows
      add column message text check (char_length(message) <= 500);
  `.execute(db);
}
