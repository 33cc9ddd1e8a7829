/** Configured objects made one by one, on a database of the test's own with a table `orders` as their source. */
import { randomBytes } from "node:crypto";
import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import {
  createObject,
  type EntryOf,
  type ObjectDesk,
  updateObject,
} from "../../src/configuration/objectDesk.ts";
import { InvalidInput } from "../../src/domain/errors.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { openSecretBox } from "../../src/security/secretBox.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import { testDatabase } from "./namespace.ts";

/** What every test of the file has in common; the tables of configured objects are emptied before each. */
export const box = openSecretBox([randomBytes(32).toString("base64")]);
let database: OpenDatabase;
let url = "";
let workspaceId = 0;

/** What the source was asked for, and what it does before it answers: a throw is its answer. */
export const asked = { for: [] as string[], before: async (): Promise<void> => undefined };

/** The database of this file. */
export const db = (): OpenDatabase["db"] => database.db;
/** Its address, which is the source's too. */
export const sourceUrl = (): string => url;

/** The desk under test. */
export const desk = (): ObjectDesk => ({
  db: database.db,
  box,
  describe: async (source, object) => {
    asked.for.push(object.type === "model" ? object.query : `${object.schema}.${object.table}`);
    await asked.before();
    return postgresSource.describeObject(source, object);
  },
  allowHttp: false,
  outboundAllow: [],
});

/** Makes the database, and a workspace `demo` before each test. Call it once at the top of a file. */
export function objectScene(): void {
  beforeAll(async () => {
    ({ url } = await testDatabase({ migrated: true }));
    database = openDatabase(url);
    await sql`create table public.orders (id bigint, city text, total numeric, placed_at timestamptz, flag boolean)`.execute(
      database.db,
    );
  });
  afterAll(() => database.close());
  beforeEach(async () => {
    await sql`truncate egret.workspaces, egret.sources, egret.models, egret.destinations, egret.syncs, egret.webhooks,
      egret.outbox, egret.sync_states cascade`.execute(database.db);
    const { id } = await database.db
      .insertInto("egret.workspaces")
      .values({ name: "demo" })
      .returning("id")
      .executeTakeFirstOrThrow();
    workspaceId = id;
    asked.for = [];
    asked.before = async () => undefined;
  });
}

/** Where and by whom. */
export const by = () => ({ workspaceId, actor: "API token ci" });

const OPS: EntryOf["destination"] = { type: "webhook", url: "https://ops.example/in", auth_token: "hunter2" };

export const makeSource = (label = "Warehouse") =>
  createObject(desk(), { ...by(), kind: "source", label, entry: { type: "postgres", url } });
export const makeModel = (query = "select id, city, total from orders", label = "Orders") =>
  createObject(desk(), { ...by(), kind: "model", label, entry: { source: "Warehouse", query } });
export const makeDestination = (changes: Record<string, unknown> = {}) => {
  const entry = { ...OPS, ...changes } as EntryOf["destination"];
  return createObject(desk(), { ...by(), kind: "destination", label: "Ops", entry });
};
export const SYNC: EntryOf["sync"] = {
  model: "Orders",
  destination: "Ops",
  key: "id",
  mappings: ["city", { column: "total", to: "sum" }],
};
export const makeSync = (entry: EntryOf["sync"] = SYNC, label: string | null = "Orders to ops") =>
  createObject(desk(), { ...by(), kind: "sync", label, entry });

/** One of each. */
export async function makeAll() {
  const source = await makeSource();
  const model = await makeModel();
  const destination = await makeDestination();
  const sync = await makeSync();
  asked.for = [];
  return { source, model, destination, sync };
}

/** Changes an object. */
export const change = <K extends keyof EntryOf>(
  kind: K,
  id: number,
  changes: Partial<Parameters<typeof updateObject<K>>[1]> = {},
) => updateObject(desk(), { ...by(), kind, id, expectedVersions: null, ...changes });

/** A row of a table of configured objects. */
export async function row(table: string, id: number): Promise<Record<string, unknown>> {
  const { rows } = await sql<
    Record<string, unknown>
  >`select * from ${sql.table(`egret.${table}`)} where id = ${id}`.execute(database.db);
  return rows[0] ?? {};
}

/** What was announced. */
export const outbox = () => database.db.selectFrom("egret.outbox").selectAll().orderBy("id").execute();

/** The faults for which something was refused, by field. */
export async function problemsOf(work: Promise<unknown>): Promise<Record<string, string>> {
  const error: unknown = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(InvalidInput);
  return Object.fromEntries((error as InvalidInput).problems.map(({ field, message }) => [field, message]));
}
