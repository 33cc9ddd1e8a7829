/** Tries a connection that is not configured yet; nothing of the outcome is kept. */
import { destinationSchema, toFileDestination } from "../../configuration/destinationSchema.ts";
import type { EntryOf } from "../../configuration/objectDesk.ts";
import { createDestinationSender } from "../../destinations/registry.ts";
import { RunFailure } from "../../domain/errors.ts";
import { type OutboundSettings, openOutboundPools } from "../../security/outboundPools.ts";
import { testPostgres } from "../../sources/postgresTables.ts";
import { ASKED_BY_API } from "../sourceRefresh.ts";

/** Whether it works, in one sentence for people. */
export interface TriedConnection {
  ok: boolean;
  message: string;
}

/** Asks the database what it lets this role do; the same as the test of a configured source. */
export async function trySource(entry: EntryOf["source"]): Promise<TriedConnection> {
  const source = { id: 0, workspaceId: 0, name: "here", type: "postgres", url: entry.url } as const;
  const stateSchema = entry.sync_engine === "advanced" ? (entry.state_schema ?? "egret") : null;
  try {
    const missing = await testPostgres({ ...source, stateSchema }, ASKED_BY_API);
    return { ok: missing === null, message: missing ?? "The database answers." };
  } catch (error) {
    if (!(error instanceof RunFailure)) throw error;
    return { ok: false, message: [error.message, error.detail].filter((part) => part !== null).join(". ") };
  }
}

/** Sends one request without rows, as the test of a configured destination does. The entry must fit its schema. */
export async function tryDestination(
  entry: EntryOf["destination"],
  { outbound, version }: { outbound: OutboundSettings; version: string },
): Promise<TriedConnection> {
  const { close, ...pools } = openOutboundPools(outbound, { connections: 1 });
  try {
    const sender = createDestinationSender({ ...pools, version });
    const destination = toFileDestination("new", destinationSchema.parse(entry));
    const { ok, message } = await sender.testConnection({ ...destination, id: 0, workspaceId: 0 });
    return { ok, message };
  } finally {
    await close();
  }
}
