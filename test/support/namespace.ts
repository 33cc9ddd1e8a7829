/** Gives each test file a database and a stream prefix of its own, so that files never meet on the shared servers. */
import { randomBytes } from "node:crypto";
import { Client, type Pool } from "pg";
import { afterAll, inject } from "vitest";

/** A fresh database; dropped after the file's last test. */
export interface TestDatabase {
  url: string;
  name: string;
}

/** Creates a database for this file: empty, or a clone of the migrated one. Call it in a hook or at the top of a describe. */
export async function testDatabase(options: { migrated?: boolean } = {}): Promise<TestDatabase> {
  const { databaseUrl, template } = inject("servers");
  if (options.migrated === true && template === undefined) {
    throw new Error("there is no migrated database to clone: src/projections/migrate.ts does not exist");
  }
  const name = uniqueName();
  const from = options.migrated === true ? ` template ${template}` : "";
  await administer(databaseUrl, `create database ${name}${from}`);
  afterAll(async () => {
    // Forced, so that a pool which a failing test left open does not keep the database.
    await administer(databaseUrl, `drop database if exists ${name} with (force)`);
  });
  const url = new URL(databaseUrl);
  url.pathname = `/${name}`;
  return { url: url.href, name };
}

/** A prefix for stream names and subjects that no other file uses. */
export function streamPrefix(): string {
  return uniqueName();
}

/** Where the run's nats-server listens. */
export function natsUrl(): string {
  return inject("servers").natsUrl;
}

function uniqueName(): string {
  return `t${process.pid}_${randomBytes(5).toString("hex")}`;
}

async function administer(databaseUrl: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Process ids of this test's other sessions that hold an advisory lock; other files share the server. */
export async function lockHolders(pool: Pick<Pool, "query">): Promise<number[]> {
  const { rows } = await pool.query<{ pid: number }>(
    `select pid from pg_locks where locktype = 'advisory' and granted and pid <> pg_backend_pid()
       and database = (select oid from pg_database where datname = current_database())`,
  );
  return rows.map(({ pid }) => pid);
}

/** Ends those sessions, and says how many they were. */
export async function endLockHolders(pool: Pick<Pool, "query">): Promise<number> {
  const pids = await lockHolders(pool);
  await pool.query("select pg_terminate_backend(pid) from unnest($1::int[]) as u (pid)", [pids]);
  return pids.length;
}
