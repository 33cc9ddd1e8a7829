/** API inspector: the latest requests to the destination of a sync and what was answered, from exchanges and batches as they are kept. */
import { type Kysely, sql } from "kysely";
import type { Database } from "./database.ts";
import {
  CLOSED_WITHIN_MS,
  type ExchangeLine,
  exchangeOf,
  type KeptExchange,
  unpackLines,
} from "./exchanges.ts";

/** One request to a destination. Source: behaviour.md 8.3. */
export interface DestinationCall {
  started_at: Date;
  duration_ms: number;
  sync_run_id: number;
  /** Number of the batch, or name of a half such as 3_1. */
  batch: string;
  attempt: number;
  /** Null where an earlier version kept the exchange. */
  method: string | null;
  /** Without the values of its query. */
  url: string | null;
  /** Secrets are replaced. */
  request_headers: Record<string, string>;
  /** The first 64 KiB; null once the rows of the batch are not kept, and of a batch that was cut in two. */
  request_body: string | null;
  /** Null where the batch is not kept. */
  request_body_bytes: number | null;
  /** Null when no status line came back; then `error` says why. */
  http_status: number | null;
  error: string | null;
  response_headers: KeptExchange["responseHeaders"];
  /** The first 4 KiB. */
  response_body: string | null;
}

/** Which calls. */
export interface WantedCalls {
  syncId: number;
  runId?: number | undefined;
  /** Most calls, the latest ones. */
  limit: number;
  /** Only calls that ended then or later, about. */
  since?: Date | undefined;
  /** Only calls with such a status; null is one without an answer. */
  isWanted?: ((httpStatus: number | null) => boolean) | undefined;
}

/** Calls that are shown unless fewer or more are asked for. Source: docs; behaviour.md 8.3. */
export const LATEST_CALLS = 100;
/** Of a request's body. Source: ours; behaviour.md 8.3. */
const BODY_BYTES = 65_536;
/** Older calls are not looked for. Source: docs; behaviour.md 8.3. */
const OLDEST_MS = 7 * 86_400_000;
/** A destination that many syncs share may have few calls of this one: so many chunks are looked through at most. */
const MOST_CHUNKS = 1_000;
const CHUNKS_AT_ONCE = 10;
const END_OF_TIME = new Date(Date.UTC(9999, 0));
/** Runs whose destination counts as one of the sync's. */
const LATEST_RUNS = 200;

/** How each line of a destination begins; only the lines of the sync are parsed. */
const BEGINNING = /^\["(destination\/\d+)","(\d+)-(\d+(?:_[12])*)",/;

interface FoundCall {
  runId: number;
  batch: string;
  line: ExchangeLine;
}

/** The latest calls of a sync, newest first, as far as exchanges are kept. */
export async function latestCalls(db: Kysely<Database>, wanted: WantedCalls): Promise<DestinationCall[]> {
  const { limit, runId, isWanted = () => true } = wanted;
  const targets = await targetsOf(db, wanted.syncId);
  const runs = new RunsOfSync(db, wanted.syncId);
  const found = new Map<string, FoundCall>();
  let newest: FoundCall[] = [];
  for await (const { keptAt, lines } of newestChunks(db, targets, await timeOf(db, wanted))) {
    // A call began before its chunk was closed: what is older than this chunk is older than all that were found.
    const last = newest[limit - 1];
    if (last !== undefined && keptAt.getTime() < last.line[3]) break;
    const calls = lines.flatMap((text) => callIn(text, targets, runId) ?? []);
    const ids = await runs.among(calls);
    for (const { runId: id, batch, text } of calls) {
      if (!ids.has(id)) continue;
      const line = JSON.parse(text) as ExchangeLine;
      if (!isWanted(line[4][4]?.[2] ?? null)) continue;
      // A chunk may have been written twice.
      found.set(`${line[1]} ${line[2]} ${line[3]}`, { runId: id, batch, line });
    }
    newest = [...found.values()].sort((a, b) => b.line[3] - a.line[3]).slice(0, limit);
    for (const [key, call] of found) if (!newest.includes(call)) found.delete(key);
  }
  const bodies = await bodiesOf(db, newest);
  return newest.map((call) => callOf(call, bodies.get(`${call.runId}-${call.batch}`)));
}

/** The sync's destination, and those that it had in its latest runs. */
async function targetsOf(db: Kysely<Database>, syncId: number): Promise<string[]> {
  const { rows } = await sql<{ id: number }>`
    select destination_id as id from egret.syncs where id = ${syncId} union
    select destination_id from (select destination_id from egret_read.runs
      where sync_id = ${syncId} order by id desc limit ${LATEST_RUNS}) as latest
    where destination_id is not null`.execute(db);
  return rows.map(({ id }) => `destination/${id}`);
}

interface TimeSpan {
  from: Date;
  to: Date;
}

/** When chunks with the wanted calls were closed. */
async function timeOf(db: Kysely<Database>, { runId, since }: WantedCalls): Promise<TimeSpan> {
  const oldest = Date.now() - OLDEST_MS;
  const run =
    runId === undefined
      ? undefined
      : await db
          .selectFrom("egret_read.runs")
          .select(["created_at", "completed_at"])
          .where("id", "=", runId)
          .executeTakeFirst();
  const from = Math.max(oldest, since?.getTime() ?? oldest, run?.created_at.getTime() ?? oldest);
  const ended = run?.completed_at?.getTime();
  return { from: new Date(from), to: ended === undefined ? END_OF_TIME : new Date(ended + CLOSED_WITHIN_MS) };
}

/** A chunk that is written meanwhile moves the pages: then one is read twice, and none is missed. */
async function* newestChunks(
  db: Kysely<Database>,
  targets: readonly string[],
  { from, to }: TimeSpan,
): AsyncGenerator<{ keptAt: Date; lines: string[] }> {
  for (let seen = 0; seen < MOST_CHUNKS; seen += CHUNKS_AT_ONCE) {
    const chunks = await db
      .selectFrom("egret.exchanges")
      .select(["kept_at", "lines"])
      .where("kept_at", ">=", from)
      .where("kept_at", "<=", to)
      .where(sql<boolean>`targets && ${targets}::text[]`)
      .orderBy("kept_at", "desc")
      .limit(CHUNKS_AT_ONCE)
      .offset(seen)
      .execute();
    for (const { kept_at: keptAt, lines } of chunks) yield { keptAt, lines: await unpackLines(lines) };
    if (chunks.length < CHUNKS_AT_ONCE) return;
  }
}

function callIn(
  text: string,
  targets: readonly string[],
  wantedRun: number | undefined,
): { runId: number; batch: string; text: string } | null {
  const [, target, run, batch] = BEGINNING.exec(text) ?? [];
  if (target === undefined || batch === undefined || !targets.includes(target)) return null;
  const runId = Number(run);
  return wantedRun === undefined || runId === wantedRun ? { runId, batch, text } : null;
}

/** Which runs are the sync's: other syncs may share its destination. */
class RunsOfSync {
  readonly #db: Kysely<Database>;
  readonly #syncId: number;
  readonly #known = new Set<number>();
  readonly #own = new Set<number>();

  constructor(db: Kysely<Database>, syncId: number) {
    this.#db = db;
    this.#syncId = syncId;
  }

  async among(calls: readonly { runId: number }[]): Promise<ReadonlySet<number>> {
    const unknown = [...new Set(calls.map(({ runId }) => runId))].filter((id) => !this.#known.has(id));
    if (unknown.length > 0) {
      const { rows } = await sql<{ id: number }>`
        select id from unnest(${unknown}::bigint[]) as run (id)
        where (select sync_id from egret.batches where run_id = run.id limit 1) = ${this.#syncId}`.execute(
        this.#db,
      );
      for (const id of unknown) this.#known.add(id);
      for (const { id } of rows) this.#own.add(id);
    }
    return this.#own;
  }
}

interface RequestBody {
  text: string | null;
  bytes: number | null;
}

/** Bodies as they were sent, by `run-batch`: of a long one only its beginning is read. */
async function bodiesOf(
  db: Kysely<Database>,
  calls: readonly FoundCall[],
): Promise<Map<string, RequestBody>> {
  if (calls.length === 0) return new Map();
  const numbers = calls.map(({ batch }) => (batch.includes("_") ? null : Number(batch)));
  const { rows } = await sql<{ id: string; body: Buffer | null; bytes: number | null }>`
    select call.run_id || '-' || call.batch as id, substring(body from 1 for ${BODY_BYTES}) as body,
           octet_length(body) as bytes
    from unnest(${calls.map(({ runId }) => runId)}::bigint[], ${calls.map(({ batch }) => batch)}::text[],
                ${numbers}::int[]) as call (run_id, batch, batch_no)
    cross join lateral (
      select body from egret.batches where run_id = call.run_id and batch_no = call.batch_no union all
      select body from egret.batches where run_id = call.run_id and name = call.batch) as batch`.execute(db);
  return new Map(rows.map(({ id, body, bytes }) => [id, { text: body?.toString("utf8") ?? null, bytes }]));
}

function callOf({ runId, batch, line }: FoundCall, body: RequestBody | undefined): DestinationCall {
  const [, , attempt, startedAtMs, facts] = line;
  const { call, requestHeaders, responseHeaders, responseBody, split } = exchangeOf(facts);
  return {
    started_at: new Date(startedAtMs),
    duration_ms: split.totalMs,
    sync_run_id: runId,
    batch,
    attempt,
    method: call?.method ?? null,
    url: call?.url ?? null,
    request_headers: requestHeaders,
    request_body: body?.text ?? null,
    request_body_bytes: body?.bytes ?? null,
    http_status: call?.httpStatus ?? null,
    error: call?.error ?? null,
    response_headers: responseHeaders,
    response_body: responseBody,
  };
}
