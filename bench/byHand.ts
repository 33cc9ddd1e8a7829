/** A sync as somebody would write it by hand: hash and COPY, FULL JOIN, POST what changed, write down what was accepted. */
import { pipeline } from "node:stream/promises";
import { Client } from "pg";
import copyStreams from "pg-copy-streams";
import { Agent } from "undici";
import { CopyBinaryReader } from "../src/engine/copyBinary.ts";
import { StateWriter } from "./byHandState.ts";

/** The pipe by hand; it has its own copy of the state, beside the one of the sync. */
export interface ByHand {
  /**
   * Puts the rows with a key above `id` into the sync's state as if they had been sent, and makes the copy for the
   * pipe by hand. A run that follows proves it right: it has to find just what was changed since.
   */
  fillState(id: number): Promise<void>;
  /** Forgets everything that was sent by hand. */
  emptyState(): Promise<void>;
  /** Copies keys and hashes over and joins them with those of last time; milliseconds, and how many rows differ. */
  compare(): Promise<ByHandRun>;
  /** A whole run: compares, sends what differs in batches, and takes over into the state what was accepted. */
  run(sending: Sending): Promise<ByHandRun>;
  close(): Promise<void>;
}

/** How long it took, and the rows that differed. */
export interface ByHandRun {
  ms: number;
  rows: number;
}

/** How rows are sent. */
export interface Sending {
  url: string;
  batchSize: number;
  parallel: number;
}

/** What to sync: the queries are the sync's own, so that both hash alike. */
export interface ByHandOptions {
  sourceUrl: string;
  databaseUrl: string;
  /** Query of every key and its hash. */
  keysSql: string;
  /** Query of every key, its hash and its record. */
  recordsSql: string;
  stateTable: string;
  /** Table of the source from which single rows are read. */
  table: string;
  /** Schema of our Postgres that it makes its tables in. */
  schema: string;
}

interface Row {
  key: string;
  hash: bigint;
  record: Buffer;
}

const HEAD = Buffer.from('{"operation":"changed","data":[');
const TAIL = Buffer.from("]}");
const COMMA = Buffer.from(",");
/** More keys than this are not listed: then every row is to be sent. */
const MOST_LISTED = 50_000;
const HEADERS = { "content-type": "application/json; charset=utf-8" };

/** Opens a connection to either side, as two psql with a pipe between them would. */
export async function openByHand(options: ByHandOptions): Promise<ByHand> {
  const source = new Client({ connectionString: options.sourceUrl });
  const target = new Client({ connectionString: options.databaseUrl });
  await source.connect();
  await target.connect();
  // The engine's settings, which make the join faster by hand too.
  await target.query(`SET work_mem = '256MB'; SET jit = off; SET search_path = ${options.schema}, public`);
  await source.query("SET jit = off");
  return new Pipe(source, target, options);
}

class Pipe implements ByHand {
  readonly #source: Client;
  readonly #target: Client;
  readonly #options: ByHandOptions;
  #runs = 0;

  constructor(source: Client, target: Client, options: ByHandOptions) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
  }

  async fillState(id: number): Promise<void> {
    const { keysSql, stateTable } = this.#options;
    await this.#copy(`SELECT * FROM (${keysSql}) AS k WHERE key::bigint > ${id}`, stateTable);
    await this.emptyState();
    await this.#target.query(`INSERT INTO state SELECT key, hash FROM ${stateTable} ORDER BY key`);
    await this.#target.query(`VACUUM ANALYZE ${stateTable}`);
    await this.#target.query("VACUUM ANALYZE state");
  }

  async emptyState(): Promise<void> {
    // As the sync's own: logged, with room on each page for a new hash of every row.
    await this.#target.query(`
      DROP SCHEMA IF EXISTS ${this.#options.schema} CASCADE;
      CREATE SCHEMA ${this.#options.schema};
      CREATE TABLE state (key text COLLATE "C" PRIMARY KEY, hash bigint NOT NULL) WITH (fillfactor = 50)`);
  }

  async compare(): Promise<ByHandRun> {
    const started = performance.now();
    const rows = await this.#findChanged();
    const ms = performance.now() - started;
    // What was found is taken over for next time, but not timed: the comparison alone is the reference.
    if (rows > 0) {
      await this.#target.query(`
        INSERT INTO state SELECT key, hash FROM changed
        ON CONFLICT (key) DO UPDATE SET hash = excluded.hash`);
    }
    await this.#drop();
    return { ms, rows };
  }

  async run(sending: Sending): Promise<ByHandRun> {
    const started = performance.now();
    const rows = await this.#findChanged();
    if (rows > 0) await this.#send(sending);
    await this.#drop();
    return { ms: performance.now() - started, rows };
  }

  async close(): Promise<void> {
    await this.#source.end();
    await this.#target.end();
  }

  #copy(sql: string, table: string): Promise<void> {
    return pipeline(
      this.#source.query(copyStreams.to(`COPY (${sql}) TO STDOUT (FORMAT binary)`)),
      this.#target.query(copyStreams.from(`COPY ${table} (key, hash) FROM STDIN (FORMAT binary)`)),
    );
  }

  /** What differs stands in the table `changed` then. */
  async #findChanged(): Promise<number> {
    await this.#target.query(`CREATE UNLOGGED TABLE stage (key text COLLATE "C", hash bigint NOT NULL)`);
    await this.#copy(this.#options.keysSql, "stage");
    const { rowCount } = await this.#target.query(`
      CREATE UNLOGGED TABLE changed AS
      SELECT key, stage.hash FROM stage FULL JOIN state USING (key)
      WHERE stage.hash IS DISTINCT FROM state.hash AND stage.hash IS NOT NULL`);
    return rowCount ?? 0;
  }

  async #drop(): Promise<void> {
    await this.#target.query("DROP TABLE stage, changed");
  }

  async #send({ url, batchSize, parallel }: Sending): Promise<void> {
    this.#runs += 1;
    const agent = new Agent({ connections: parallel, pipelining: 1 });
    const state = new StateWriter(this.#target);
    const { origin, pathname: path } = new URL(url);
    let number = 0;
    const post = async (rows: Row[]) => {
      number += 1;
      const parts = rows.flatMap(({ record }, at) => [at === 0 ? HEAD : COMMA, record]);
      const body = Buffer.concat([...parts, TAIL]);
      const headers = { ...HEADERS, "idempotency-key": `hand${this.#runs}-${number}` };
      const answer = await agent.request({ origin, path, method: "POST", headers, body });
      await answer.body.dump();
      if (answer.statusCode !== 200) throw new Error(`the sink answered ${answer.statusCode}`);
      state.add(rows);
    };
    const underWay = new Set<Promise<void>>();
    try {
      for await (const rows of this.#batches(await this.#rowsSql(), batchSize)) {
        while (underWay.size >= parallel) await Promise.race(underWay);
        const posting: Promise<void> = post(rows).finally(() => underWay.delete(posting));
        underWay.add(posting);
      }
      await Promise.all(underWay);
      await state.end();
    } finally {
      await agent.destroy();
    }
  }

  /** Query of the rows to send: all of them, or those whose keys it lists, by the index. */
  async #rowsSql(): Promise<string> {
    const { rows } = await this.#target.query<{ key: string; hash: string; staged: string }>(
      `SELECT key, hash::text, (SELECT count(*) FROM stage)::text AS staged FROM changed LIMIT ${MOST_LISTED + 1}`,
    );
    const { table, recordsSql } = this.#options;
    if (rows.length > MOST_LISTED || rows.length === Number(rows[0]?.staged)) return recordsSql;
    const changed = rows.map(({ key, hash }) => `(${key}, ${hash})`);
    return `SELECT unique_id::text, hash, row_to_json(r)::text FROM (SELECT id AS unique_id, * FROM ${table}) r
      JOIN (VALUES ${changed.join(",")}) AS changed (id, hash) USING (id)`;
  }

  /** The rows to send, read while the ones before are being sent. */
  async *#batches(sql: string, size: number): AsyncGenerator<Row[]> {
    const reader = new CopyBinaryReader();
    const stream = this.#source.query(copyStreams.to(`COPY (${sql}) TO STDOUT (FORMAT binary)`));
    const full: Row[][] = [];
    let rows: Row[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      reader.push(chunk, ([key, hash, record]) => {
        if (key === undefined || !hash || !record) return;
        rows.push({ key: key?.toString("latin1") ?? "", hash: hash.readBigInt64BE(), record });
        if (rows.length < size) return;
        full.push(rows);
        rows = [];
      });
      yield* full.splice(0);
    }
    if (rows.length > 0) yield rows;
  }
}
