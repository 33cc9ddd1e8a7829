/** Answers of writing requests that carried an Idempotency-Key, kept so that repeating one does nothing again. */
import { createHash } from "node:crypto";
import { type Kysely, sql } from "kysely";
import type { Database } from "../projections/database.ts";
import type { SecretBox } from "../security/secretBox.ts";

/** For so long a key is known, hours. Source: ours (behaviour.md 10.1). */
export const IDEMPOTENCY_HOURS = 24;
/**
 * A request that has not been answered for so long, minutes, lost its process: longer than the server lets any take. Until
 * then a repetition is refused, since what became of the first one is not known. Source: ours.
 */
const ABANDONED_MINUTES = 5;

/** An answer that is kept. */
export interface KeptAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** A request by its token and key, and what makes it another one: method, path and body. */
export interface KeyedRequest {
  tokenId: number;
  key: string;
  request: string;
}

/** What there is of a key: nothing yet (it is ours now), one under way, one with another request, or an answer. */
export type KeyState = "begun" | "under_way" | "other_request" | KeptAnswer;

const sha256 = (text: string): Buffer => createHash("sha256").update(text).digest();

function purposeOf({ tokenId, key }: KeyedRequest): string {
  return `answer to key ${sha256(key).toString("hex")} of token ${tokenId}`;
}

/** Takes a key, or says what became of the request that has it. */
export async function beginKeyed(
  db: Kysely<Database>,
  box: SecretBox,
  wanted: KeyedRequest,
): Promise<KeyState> {
  const key = sha256(wanted.key);
  const request = sha256(wanted.request);
  for (;;) {
    const { rows } = await sql`
      insert into egret.api_idempotency as known (token_id, key_sha256, request_sha256)
      values (${wanted.tokenId}, ${key}, ${request})
      on conflict (token_id, key_sha256) do update
        set request_sha256 = excluded.request_sha256, begun_at = now(), answer = null
        where known.begun_at < now() - make_interval(hours => ${IDEMPOTENCY_HOURS})
          or (known.answer is null and known.begun_at < now() - make_interval(mins => ${ABANDONED_MINUTES}))
      returning 1`.execute(db);
    if (rows.length === 1) return "begun";
    const row = await db
      .selectFrom("egret.api_idempotency")
      .select(["request_sha256", "answer"])
      .where("token_id", "=", wanted.tokenId)
      .where("key_sha256", "=", key)
      .executeTakeFirst();
    // Gone meanwhile: the first one failed in a way that is not kept, so this one has its turn.
    if (row === undefined) continue;
    if (!row.request_sha256.equals(request)) return "other_request";
    if (row.answer === null) return "under_way";
    return JSON.parse(box.open(purposeOf(wanted), row.answer)) as KeptAnswer;
  }
}

/** Keeps the answer, encrypted: it may hold a secret that is shown once. */
export async function keepAnswer(
  db: Kysely<Database>,
  box: SecretBox,
  { wanted, answer }: { wanted: KeyedRequest; answer: KeptAnswer },
): Promise<void> {
  await db
    .updateTable("egret.api_idempotency")
    .set({ answer: box.seal(purposeOf(wanted), JSON.stringify(answer)) })
    .where("token_id", "=", wanted.tokenId)
    .where("key_sha256", "=", sha256(wanted.key))
    .execute();
}

/** Gives the key up: the request may be tried again. */
export async function forgetKeyed(db: Kysely<Database>, { tokenId, key }: KeyedRequest): Promise<void> {
  await db
    .deleteFrom("egret.api_idempotency")
    .where("token_id", "=", tokenId)
    .where("key_sha256", "=", sha256(key))
    .execute();
}
