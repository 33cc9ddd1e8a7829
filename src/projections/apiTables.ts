/** The tables of the management API as Kysely sees them. */
import type { ColumnType, Generated } from "kysely";

type Timestamp = ColumnType<Date, Date | string | undefined, Date | string>;

export interface ApiTokenTable {
  id: Generated<number>;
  kind: "workspace" | "personal";
  /** Of a workspace key. */
  workspace_id: number | null;
  name: string;
  scopes: string[];
  token_sha256: Buffer;
  /** Encrypted by src/security/secretBox.ts; null for tokens that are shown once. */
  sealed: string | null;
  created_by: string;
  created_at: Timestamp;
  last_used_at: Timestamp | null;
  expires_at: Timestamp | null;
  revoked_at: Timestamp | null;
}

export interface ApiAuditTable {
  id: Generated<number>;
  at: Timestamp;
  /** Null for what was sent with a link. */
  token_id: number | null;
  /** Of what was sent on a page behind a link, else null; the link itself goes some time after it stopped working. */
  link_id: number | null;
  /** Of the token, or how the link is named as an actor. */
  token_name: string;
  workspace_id: number | null;
  method: string;
  /** As the document writes it, such as `/syncs/{id}`. */
  route: string;
  object_id: string | null;
  status: number;
  address: string;
  user_agent: string | null;
  request_id: string;
}

export interface ApiIdempotencyTable {
  token_id: number;
  key_sha256: Buffer;
  request_sha256: Buffer;
  begun_at: Timestamp;
  /** Encrypted by src/security/secretBox.ts; null while it is under way. */
  answer: string | null;
}
