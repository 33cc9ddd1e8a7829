/** Brings our Postgres to the newest schema; migrations only go forward. */
import { promises as fs } from "node:fs";
import path from "node:path";
import { FileMigrationProvider, Migrator, sql } from "kysely";
import { Unavailable } from "../domain/errors.ts";
import { type OpenDatabase, openDatabase, pingDatabase } from "./database.ts";

const FOLDER = path.join(import.meta.dirname, "../../migrations");
const TABLE = "egret_migrations";

/**
 * Runs the migrations that are missing and returns their names; several processes may call it at once.
 * @throws Unavailable when Postgres does not answer or a migration fails; nothing of that migration remains.
 */
export async function migrateToLatest(databaseUrl: string): Promise<string[]> {
  const { db, close } = openDatabase(databaseUrl, { maxConnections: 2 });
  try {
    await pingDatabase({ db });
    if (await isCurrent(db)) return [];
    const migrator = migratorOf(db);
    const { error, results } = await migrator.migrateToLatest();
    const failed = results?.find((result) => result.status === "Error");
    if (error !== undefined) {
      const which = failed === undefined ? "before the first migration" : `in ${failed.migrationName}`;
      const reason = error instanceof Error ? error.message : String(error);
      throw new Unavailable(`migrating the database failed ${which}: ${reason}`, { cause: error });
    }
    return (results ?? []).map((result) => result.migrationName);
  } finally {
    await close();
  }
}

/** Whether nothing is to be done: the migrator itself would take locks and look through the catalogue to find that out. */
async function isCurrent(db: OpenDatabase["db"]): Promise<boolean> {
  const { rows } = await sql<{ has: boolean }>`select to_regclass(${TABLE}) is not null as has`.execute(db);
  if (rows[0]?.has !== true) return false;
  const done = await sql<{ name: string }>`select name from ${sql.table(TABLE)}`.execute(db);
  const known = (await fs.readdir(FOLDER)).map((file) => path.parse(file).name).toSorted();
  const names = done.rows.map(({ name }) => name).toSorted();
  return known.join() === names.join();
}

/** Names of the migrations that the database has not had yet; nothing is changed. */
export async function pendingMigrations(databaseUrl: string): Promise<string[]> {
  const { db, close } = openDatabase(databaseUrl, { maxConnections: 2 });
  try {
    const migrations = await migratorOf(db).getMigrations();
    return migrations.filter(({ executedAt }) => executedAt === undefined).map(({ name }) => name);
  } finally {
    await close();
  }
}

function migratorOf(db: OpenDatabase["db"]): Migrator {
  return new Migrator({
    db,
    provider: new FileMigrationProvider({ fs, path, migrationFolder: FOLDER }),
    migrationTableName: TABLE,
    migrationLockTableName: "egret_migrations_lock",
  });
}
