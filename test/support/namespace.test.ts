import { connect } from "nats";
import { Client } from "pg";
import { describe, expect, inject, test } from "vitest";
import { natsUrl, streamPrefix, testDatabase } from "./namespace.ts";

const { template } = inject("servers");
const empty = await testDatabase();

describe("a test file's namespace", () => {
  test("has an empty database of its own", async () => {
    expect(await tablesIn(empty.url)).toEqual([]);
  });

  test.skipIf(template === undefined)("has a migrated database of its own when it asks", async () => {
    const migrated = await testDatabase({ migrated: true });
    expect(await tablesIn(migrated.url)).not.toEqual([]);
    expect(migrated.name).not.toBe(empty.name);
  });

  test("has a stream prefix that is never given twice, on a NATS that answers", async () => {
    expect(streamPrefix()).not.toBe(streamPrefix());
    const connection = await connect({ servers: natsUrl(), reconnect: false });
    expect(connection.info?.jetstream).toBe(true);
    await connection.close();
  });
});

async function tablesIn(url: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query("select tablename from pg_tables where schemaname = 'public'")).rows;
  } finally {
    await client.end();
  }
}
