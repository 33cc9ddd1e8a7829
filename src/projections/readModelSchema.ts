/** The schema of the read models as a thing to copy, fill and swap: what a rebuild does to tables. */
import pg from "pg";
import { LIVE_SCHEMA } from "./checkpoint.ts";

/** Where a rebuild writes until it swaps. */
export const REBUILD_SCHEMA = "egret_read_rebuild";

/** Creates empty tables, keys and views like the live ones, under the same names; what an earlier try left goes. */
export async function createFreshReadModels(client: pg.ClientBase): Promise<void> {
  await inTransaction(client, async () => {
    await client.query(`drop schema if exists ${REBUILD_SCHEMA} cascade`);
    await client.query(`create schema ${REBUILD_SCHEMA}`);
    const statements = await describeLiveSchema(client);
    // Unqualified names in a view's text mean the copies.
    await client.query(`set local search_path = ${REBUILD_SCHEMA}, pg_catalog`);
    for (const statement of statements) await client.query(statement);
  });
}

/** Drops what a rebuild had made so far. */
export async function dropFreshReadModels(client: pg.ClientBase): Promise<void> {
  await client.query(`drop schema if exists ${REBUILD_SCHEMA} cascade`);
}

/**
 * Puts the fresh tables in the place of the live ones in one transaction, and drops those. Fails, changing nothing,
 * when somebody's own view depends on a live table.
 */
export async function swapReadModels(client: pg.ClientBase): Promise<void> {
  for (const statement of await otherIndexes(client)) await client.query(statement);
  const made = await relationsOf(client, REBUILD_SCHEMA);
  for (const { name, isView, parent } of made) {
    if (!isView && parent === null) await client.query(`analyze ${fresh(name)}`);
  }
  await inTransaction(client, async () => {
    const grants = await liveGrants(client);
    // Partitions are locked with their tables, and go with them.
    const old = (await relationsOf(client, LIVE_SCHEMA)).filter(({ parent }) => parent === null);
    const tables = old.filter(({ isView }) => !isView).map(({ name }) => live(name));
    // All at once and first, so that a reader who holds one table cannot wait for another that we hold.
    await client.query(`lock table ${tables.join(", ")} in access exclusive mode`);
    for (const { name, isView } of old.toReversed()) {
      await client.query(`drop ${isView ? "view" : "table"} ${live(name)}`);
    }
    for (const { name, isView } of made) {
      await client.query(`alter ${isView ? "view" : "table"} ${fresh(name)} set schema ${LIVE_SCHEMA}`);
    }
    for (const grant of grants) await client.query(grant);
    await client.query(`drop schema ${REBUILD_SCHEMA}`);
  });
}

interface Relation {
  name: string;
  isView: boolean;
  /** Of a partitioned table: by what. */
  partitionedBy: string | null;
  /** Of a partition: its table, and the range it holds of it. */
  parent: string | null;
  bounds: string | null;
  /** Storage parameters such as `fillfactor=70`, which `like` does not copy. */
  storage: string | null;
}

const live = (name: string) => `${LIVE_SCHEMA}.${pg.escapeIdentifier(name)}`;
const fresh = (name: string) => `${REBUILD_SCHEMA}.${pg.escapeIdentifier(name)}`;

/** Tables, then their partitions, then the views on them, each in the order of creation. */
async function relationsOf(client: pg.ClientBase, schema: string): Promise<Relation[]> {
  const { rows } = await client.query<Relation>(
    `select relation.relname as name, relation.relkind = 'v' as "isView",
       case when relation.relkind = 'p' then pg_get_partkeydef(relation.oid) end as "partitionedBy",
       parent.relname as parent, pg_get_expr(relation.relpartbound, relation.oid) as bounds,
       array_to_string(relation.reloptions, ', ') as storage
     from pg_class relation
     left join pg_inherits on inhrelid = relation.oid left join pg_class parent on parent.oid = inhparent
     where relation.relnamespace = $1::regnamespace and relation.relkind in ('r', 'p', 'v')
     order by relation.relkind = 'v', relation.relispartition, relation.oid`,
    [schema],
  );
  return rows;
}

/**
 * Statements that make the live schema again in another: tables, then keys under the same names, then partitions,
 * which take the keys over, then views.
 */
async function describeLiveSchema(client: pg.ClientBase): Promise<string[]> {
  const relations = await relationsOf(client, LIVE_SCHEMA);
  const withStorage = (storage: string | null) => (storage === null ? "" : ` with (${storage})`);
  const tables = relations
    .filter(({ isView, parent }) => !isView && parent === null)
    .map(({ name, storage, partitionedBy }) => {
      const partition = partitionedBy === null ? "" : ` partition by ${partitionedBy}`;
      return `create table ${fresh(name)} (like ${live(name)} including all excluding indexes)${partition}${withStorage(storage)}`;
    });
  const partitions = relations.flatMap(({ name, parent, bounds, storage }) =>
    parent === null || bounds === null
      ? []
      : [`create table ${fresh(name)} partition of ${fresh(parent)} ${bounds}${withStorage(storage)}`],
  );
  const constraints = await texts(
    client,
    `select format('alter table %I.%I add constraint %I %s', $2::text, relname, conname, pg_get_constraintdef(con.oid))
     from pg_constraint con join pg_class on pg_class.oid = conrelid
     where relnamespace = $1::regnamespace and contype in ('p', 'u', 'x') and not relispartition order by con.oid`,
    [LIVE_SCHEMA, REBUILD_SCHEMA],
  );
  // With the live schema on the search path, a view's text comes without its name.
  await client.query(`set local search_path = ${LIVE_SCHEMA}, pg_catalog`);
  const views = await texts(
    client,
    `select format('create view %I.%I as %s', $2::text, relname, pg_get_viewdef(oid)) from pg_class
     where relnamespace = $1::regnamespace and relkind = 'v' order by oid`,
    [LIVE_SCHEMA, REBUILD_SCHEMA],
  );
  return [...tables, ...constraints, ...partitions, ...views];
}

/**
 * Statements that give the fresh tables the live ones' other indexes: cheaper made at the end than kept up to date. A
 * partitioned table's index makes those of its partitions, which its text in the catalog denies.
 */
async function otherIndexes(client: pg.ClientBase): Promise<string[]> {
  return texts(
    client,
    `select replace(replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON '),
                    format(' ON %I.', $1::text), format(' ON %I.', $2::text))
     from pg_index join pg_class on pg_class.oid = indrelid
     where relnamespace = $1::text::regnamespace and not relispartition
       and not exists (select 1 from pg_constraint where conindid = indexrelid) order by indexrelid`,
    [LIVE_SCHEMA, REBUILD_SCHEMA],
  );
}

/** Statements that give other roles the rights again which they had on the live tables and views. */
async function liveGrants(client: pg.ClientBase): Promise<string[]> {
  return texts(
    client,
    `select format('grant %s on %s to %s', privilege_type, pg_class.oid::regclass,
                   case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end)
     from pg_class, aclexplode(relacl)
     where relnamespace = $1::regnamespace and relkind in ('r', 'p', 'v') and grantee <> relowner`,
    [LIVE_SCHEMA],
  );
}

async function texts(client: pg.ClientBase, query: string, values: unknown[]): Promise<string[]> {
  const { rows } = await client.query<string[]>({ text: query, values, rowMode: "array" });
  return rows.flat();
}

async function inTransaction(client: pg.ClientBase, work: () => Promise<void>): Promise<void> {
  await client.query("begin");
  try {
    await work();
    await client.query("commit");
  } catch (error) {
    await client.query("rollback").catch(() => undefined);
    throw error;
  }
}
