/** Tests of connections to destinations: made after a change or on request, kept, and told where one failed. */
import { sql } from "kysely";
import { readDestination } from "../../configuration/store.ts";
import type { TestResult } from "../../destinations/destination.ts";
import { createDestinationSender } from "../../destinations/registry.ts";
import type { OpenDatabase } from "../../projections/database.ts";
import { type OutboundSettings, openOutboundPools } from "../../security/outboundPools.ts";
import type { SecretBox } from "../../security/secretBox.ts";

/** The outcome of a destination's connection test. */
export interface TestedDestination extends TestResult {
  name: string;
}

/** What testing needs. */
export interface TestDesk {
  db: OpenDatabase["db"];
  box: SecretBox;
  /** Of Egret, for User-Agent. */
  version: string;
}

/** Tests the connections of destinations, by id, and keeps each outcome beside its destination. */
export async function testDestinations(
  { db, box, version }: TestDesk,
  ids: readonly number[],
  outbound: OutboundSettings,
): Promise<TestedDestination[]> {
  const { close, ...pools } = openOutboundPools(outbound, { connections: 1 });
  try {
    const sender = createDestinationSender({ ...pools, version });
    const tested = await Promise.all(
      ids.map(async (id) => {
        const destination = await readDestination(db, box, id);
        if (destination === null) return null;
        const result = await sender.testConnection(destination);
        const outcome = { last_test_succeeded: result.ok, last_tested_at: new Date() };
        await db.updateTable("egret.destinations").set(outcome).where("id", "=", id).execute();
        return { name: destination.name, ...result };
      }),
    );
    return tested.filter((result) => result !== null);
  } finally {
    await close();
  }
}

/** Destinations whose last connection test failed, of all syncs or of one, by name (behaviour.md 5.2). */
export async function failedDestinations(db: OpenDatabase["db"], syncId?: number): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select distinct d.name from egret.destinations d join egret.syncs s on s.destination_id = d.id
    where d.last_test_succeeded = false and (${syncId ?? null}::bigint is null or s.id = ${syncId ?? null})
    order by d.name`.execute(db);
  return rows.map(({ name }) => name);
}
