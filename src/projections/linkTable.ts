/** The table of links as Kysely sees it. */
import type { ColumnType, Generated } from "kysely";

type Timestamp = ColumnType<Date, Date | string | undefined, Date | string>;

/** What a link lets a person do. */
export const LINK_PURPOSES = [
  "source_connect",
  "source_credentials",
  "destination_connect",
  "destination_credentials",
  "sync_management",
  "sync_edit",
  "segment_management",
] as const;
export type LinkPurpose = (typeof LINK_PURPOSES)[number];

export interface LinkTable {
  id: Generated<number>;
  workspace_id: number;
  purpose: LinkPurpose;
  type: string | null;
  source_id: number | null;
  destination_id: number | null;
  sync_id: number | null;
  redirect_uri: string | null;
  token_sha256: Buffer;
  /** Encrypted by src/security/secretBox.ts; null once it is of no use. */
  sealed: string | null;
  created_by: string;
  created_at: Timestamp;
  expires_at: Timestamp;
  used_at: Timestamp | null;
  revoked_at: Timestamp | null;
}
