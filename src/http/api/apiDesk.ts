/** What the management API works with: the services of the process, and what is configured about the outside. */
import type { Kysely } from "kysely";
import type { Logger } from "pino";
import type { LogConnection } from "../../log/connection.ts";
import type { EventLog } from "../../log/eventLog.ts";
import type { Database, OpenDatabase } from "../../projections/database.ts";
import type { OutboundSettings } from "../../security/outboundPools.ts";
import type { SecretBox } from "../../security/secretBox.ts";

/** Handed to every room of routes; a test makes one from the services of a running Egret. */
export interface ApiDesk {
  db: Kysely<Database>;
  database: OpenDatabase;
  connection: LogConnection;
  log: EventLog;
  box: SecretBox;
  /** Where people reach Egret, without a slash at the end. */
  publicUrl(): string;
  /** EGRET_ALLOW_HTTP, EGRET_OUTBOUND_ALLOW and the rest of what holds for requests to targets. */
  outbound: OutboundSettings;
  /** Requests that one token may make per second; 0 for as many as it likes. */
  requestsPerSecond: number;
  /** HTTP status of the answer to a created sync. */
  syncCreatedStatus: 200 | 201;
  /** Of Egret, for the document. */
  version: string;
  logger: Logger;
  now(): Date;
}
