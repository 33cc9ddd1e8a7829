/** Postgres as a source: read-only sessions, columns from the server itself, one snapshot per run read by COPY. */
import type { Socket } from "node:net";
import { PassThrough, type Readable } from "node:stream";
import pg from "pg";
import type { Source, SyncObject } from "../domain/configuration.ts";
import { InvalidInput, RunFailure } from "../domain/errors.ts";
import { CONNECT_TIMEOUT_MS, NOTICES_LOST_CLIENT, NOTICES_LOST_SERVER } from "../domain/lostConnections.ts";
import { driverAddress, statementTimeoutMs } from "./postgresAddress.ts";
import { compilePostgres, fromClause, withoutSemicolon } from "./postgresCompile.ts";
import { CopyOut } from "./postgresCopyOut.ts";
import { errorCode, safeSourceMessage, toSourceFailure } from "./postgresErrors.ts";
import type { SourceColumn, SourceLimits, SourceReader, SourceSnapshot } from "./source.ts";

const CANCEL_TIMEOUT_MS = 2_000;
/** A statement whose timeout is over by so much, ms, was sent to a server that is gone. */
const ANSWER_GRACE_MS = 30_000;
/** How long the server may take to take its leave, ms. */
const END_TIMEOUT_MS = 2_000;

/** So much waits as single buffers, bytes; more of them would outlive their use and lie about until V8 looks for them. */
const BUFFER_BYTES = 1 << 18;

/** An address may name certificate files. */
const FILE_PROBLEMS = new Set(["ENOENT", "EACCES", "EPERM", "EISDIR", "ENOTDIR"]);

/** hash_record_extended came with 14. */
const OLDEST_SERVER = 140_000;

/** What texts and hashes depend on is pinned, so that a role's own settings never make every row look changed. */
function sessionSettings(timeoutMs: number, { writes = false, workMemMb }: SessionKind): string {
  return `SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD';
    SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 1; SET bytea_output = 'hex'; SET lc_monetary = 'C';
    SET statement_timeout = ${Math.round(timeoutMs)}; SET lock_timeout = 0; SET jit = off;${workMemMb === undefined ? "" : ` SET work_mem = '${Math.round(workMemMb)}MB';`}
    ${writes ? "SET search_path = pg_catalog; SET lock_timeout = '30s'" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}`;
}

/** What a connection is for; without `writes` it is in a read-only transaction with one unchanging view. */
interface SessionKind {
  writes?: boolean;
  workMemMb?: number | undefined;
}

/**
 * A connection, its settings pinned.
 * @throws RunFailure when the source does not answer.
 */
export async function openSession(
  source: Source,
  limits: SourceLimits,
  kind: SessionKind = {},
): Promise<pg.Client & { backend?: number }> {
  let client: pg.Client & { backend?: number };
  try {
    client = new pg.Client({
      connectionString: driverAddress(source.url),
      connectionTimeoutMillis: limits.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      application_name: "egret",
      ...NOTICES_LOST_SERVER,
    });
  } catch (error) {
    const code = errorCode(error);
    if (code !== null && FILE_PROBLEMS.has(code)) {
      throw new RunFailure(
        "SOURCE_CONNECTION_FAILED",
        `Source ${source.name} names a certificate file that cannot be read (${code})`,
        "Check sslrootcert, sslcert and sslkey in its address: paths on the machine where Egret runs",
      );
    }
    // The parser's error holds the whole address with its password.
    throw new RunFailure(
      "SOURCE_CONNECTION_FAILED",
      `Source ${source.name} has no valid address`,
      "Write postgres://user:password@host:port/database",
    );
  }
  // A connection that ends while nobody waits for it would end the process.
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { workMemMb } = limits;
    const timeoutMs = limits.statementTimeoutMs ?? statementTimeoutMs(source.url);
    breakWhenSilent(client, timeoutMs + ANSWER_GRACE_MS);
    await client.query(sessionSettings(timeoutMs, { workMemMb, ...kind }));
    const { rows } = await client.query<{ version: number; backend: number }>(
      `SELECT current_setting('server_version_num')::int AS version, pg_backend_pid() AS backend, ${NOTICES_LOST_CLIENT}`,
    );
    if (rows[0] !== undefined) client.backend = rows[0].backend;
    if ((rows[0]?.version ?? 0) < OLDEST_SERVER) {
      throw new RunFailure(
        "SOURCE_QUERY_FAILED",
        `Source ${source.name} is older than Postgres 14`,
        "Use Postgres 14 or newer",
      );
    }
    return client;
  } catch (error) {
    await endQuietly(client);
    throw toSourceFailure(source.name, error);
  }
}

/** What `pg` keeps of a connection and its types do not name. */
interface Innards {
  connection: { stream: Socket };
  readyForQuery: boolean;
}

/**
 * A server that vanished is noticed by asking it, but not while something is on its way to it: a statement sent into the
 * void is sent again for a quarter of an hour (Linux' default). The server that is there has ended it before.
 */
function breakWhenSilent(client: pg.Client, silenceMs: number): void {
  const innards = client as unknown as Innards;
  const { stream } = innards.connection;
  stream.setTimeout(silenceMs, () => {
    // Between two statements the connection may rest: our Postgres is comparing.
    if (innards.readyForQuery) return;
    stream.destroy(Object.assign(new Error("the source does not answer"), { code: "ETIMEDOUT" }));
  });
}

/** Ends a connection, whatever it is doing, also when the server does not answer any more. Never throws. */
export async function endQuietly(client: pg.Client): Promise<void> {
  const { stream } = (client as unknown as Innards).connection;
  const tooLate = setTimeout(() => stream.destroy(), END_TIMEOUT_MS);
  await client.end().catch(() => undefined);
  clearTimeout(tooLate);
}

/** Without it a query that nobody waits for any more goes on at the server until it has a row to send. */
async function cancelOnServer(source: Source, backend: number): Promise<void> {
  const client = new pg.Client({
    connectionString: driverAddress(source.url),
    connectionTimeoutMillis: CANCEL_TIMEOUT_MS,
    query_timeout: CANCEL_TIMEOUT_MS,
    application_name: "egret",
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("SELECT pg_cancel_backend($1)", [backend]);
  } catch {
    // Then the query ends with its first row, or with the statement timeout.
  } finally {
    await endQuietly(client);
  }
}

/** One statement through the extended protocol, in which the server itself refuses a second one. */
function single(text: string): pg.QueryConfig {
  return { text, queryMode: "extended" } as pg.QueryConfig;
}

/**
 * Has the server parse and plan one query without running it. A cursor takes a SELECT, VALUES or WITH, and none that
 * changes data; closing brackets that do not belong to it are a syntax error here, before it is wrapped.
 */
async function checkQuery(client: pg.Client, query: string): Promise<void> {
  await client.query(single(`DECLARE egret_check NO SCROLL CURSOR FOR ${query}\n`));
  await client.query("CLOSE egret_check");
}

/** Syntax error, wrong object for a cursor, feature not supported, invalid cursor definition. */
const NOT_ONE_SELECT = new Set(["42601", "42809", "0A000", "42P11"]);

async function checkModel(client: pg.Client, object: SyncObject & { type: "model" }): Promise<void> {
  const query = withoutSemicolon(object.query);
  const field = `models.${object.name}.query`;
  const refuse = (message: string): InvalidInput =>
    new InvalidInput(`Model ${object.name} is not exactly one SELECT: ${message}`, [
      { field, message: `${message}. Write one SELECT or WITH statement` },
    ]);
  if (query === "") throw refuse("it is empty");
  if (query.includes("\u0000")) throw refuse("it holds a NUL character");
  try {
    await checkQuery(client, query);
  } catch (error) {
    const code = errorCode(error);
    if (code === null || !NOT_ONE_SELECT.has(code)) throw error;
    const several = error instanceof Error && error.message.includes("multiple commands");
    throw refuse(several ? "it holds several statements" : safeSourceMessage(error));
  }
}

/**
 * What Egret keeps for itself in the source is nothing to be sent.
 * @throws InvalidInput when the object reads from the bookkeeping schema, be it through a view.
 */
async function checkReach(client: pg.Client, source: Source, object: SyncObject): Promise<void> {
  const schema = source.stateSchema ?? null;
  if (schema === null) return;
  const refused = `it reads from schema ${schema}, in which Egret keeps its own state; choose another table, or another \`state_schema\``;
  const what = object.type === "table" ? `Table ${object.schema}.${object.table}` : `Model ${object.name}`;
  if (object.type === "table" && object.schema === schema) throw new InvalidInput(`${what}: ${refused}`);
  await client.query("SAVEPOINT egret_reach");
  try {
    const { rows } = await client.query<{ "QUERY PLAN": unknown }>(
      single(`EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) SELECT * FROM ${fromClause(object)}`),
    );
    if (mentionsSchema(rows[0]?.["QUERY PLAN"], schema)) throw new InvalidInput(`${what}: ${refused}`);
  } catch (error) {
    if (error instanceof InvalidInput || errorCode(error) === null) throw error;
    // What is wrong with the query is said by the check that follows.
  }
  await client.query("ROLLBACK TO SAVEPOINT egret_reach");
}

function mentionsSchema(plan: unknown, schema: string): boolean {
  if (Array.isArray(plan)) return plan.some((each) => mentionsSchema(each, schema));
  if (typeof plan !== "object" || plan === null) return false;
  return Object.entries(plan).some(
    ([name, value]) => (name === "Schema" && value === schema) || mentionsSchema(value, schema),
  );
}

async function typeNames(client: pg.Client, fields: readonly pg.FieldDef[]): Promise<SourceColumn[]> {
  const { rows } = await client.query<{ name: string; type: string }>(
    `SELECT name, format_type(oid, nullif(typmod, -1)) AS type
     FROM unnest($1::text[], $2::oid[], $3::int[]) WITH ORDINALITY AS f (name, oid, typmod, place) ORDER BY place`,
    [fields.map((f) => f.name), fields.map((f) => f.dataTypeID), fields.map((f) => f.dataTypeModifier)],
  );
  return rows;
}

async function describeObject(
  source: Source,
  object: SyncObject,
  limits: SourceLimits = {},
): Promise<SourceColumn[]> {
  const client = await openSession(source, limits);
  try {
    await checkReach(client, source, object);
    if (object.type === "model") await checkModel(client, object);
    const { fields } = await client.query(single(`SELECT * FROM ${fromClause(object)} LIMIT 0`));
    const columns = await typeNames(client, fields);
    const seen = new Set<string>();
    const repeated = columns.find(({ name }) => seen.size === seen.add(name).size);
    const what = object.type === "model" ? `Model ${object.name}` : `Table ${object.schema}.${object.table}`;
    if (columns.length === 0) throw new InvalidInput(`${what} has no columns: select at least one`);
    if (repeated !== undefined)
      throw new InvalidInput(`${what} has two columns ${repeated.name}: give one another name with AS`);
    return columns;
  } catch (error) {
    throw error instanceof InvalidInput ? error : toSourceFailure(source.name, error);
  } finally {
    await endQuietly(client);
  }
}

async function openSnapshot(source: Source, limits: SourceLimits = {}): Promise<SourceSnapshot> {
  const client = await openSession(source, limits);
  let isCopying = false;
  return {
    copyOut: async (sql: string): Promise<Readable> => {
      try {
        // COPY travels by the simple protocol, which takes several statements: so look at the query first.
        await checkQuery(client, sql);
      } catch (error) {
        throw toSourceFailure(source.name, error);
      }
      const raw = client.query(new CopyOut(`COPY (${sql}\n) TO STDOUT (FORMAT binary)`));
      const out = new PassThrough({ highWaterMark: BUFFER_BYTES });
      isCopying = true;
      raw.on("end", () => (isCopying = false));
      raw.on("error", (error) => out.destroy(toSourceFailure(source.name, error)));
      out.on("close", () => raw.destroy());
      return raw.pipe(out);
    },
    close: async () => {
      if (isCopying && client.backend !== undefined) await cancelOnServer(source, client.backend);
      isCopying = false;
      await endQuietly(client);
    },
  };
}

/** Postgres 14 and newer. */
export const postgresSource: SourceReader = { describeObject, compile: compilePostgres, openSnapshot };
