/** The comparison of a table with what was sent before, as somebody would do it by hand: COPY, hash, FULL JOIN. */
import { pipeline } from "node:stream/promises";
import { Client } from "pg";
import copyStreams from "pg-copy-streams";

/** The comparison by hand; it has its own copy of the state, beside the one of the sync. */
export interface ByHand {
  /**
   * Puts the rows with a key above `id` into the sync's state as if they had been sent, and makes the copy for the
   * comparison by hand. A run that follows proves it right: it has to find just what was changed since.
   */
  fillState(id: number): Promise<void>;
  /** Copies keys and hashes over and joins them with those of last time; milliseconds, and how many rows differ. */
  compare(): Promise<{ ms: number; differing: number }>;
  close(): Promise<void>;
}

/** What to compare: the query is the sync's own, so that both hash alike. */
export interface ByHandOptions {
  sourceUrl: string;
  databaseUrl: string;
  keysSql: string;
  stateTable: string;
}

/** Opens a connection to either side, as two psql with a pipe between them would. */
export async function openByHand(options: ByHandOptions): Promise<ByHand> {
  const source = new Client({ connectionString: options.sourceUrl });
  const target = new Client({ connectionString: options.databaseUrl });
  await source.connect();
  await target.connect();
  // The engine's settings, which make the join faster by hand too.
  await target.query("SET work_mem = '256MB'; SET jit = off");
  await source.query("SET jit = off");
  const { keysSql, stateTable } = options;
  const copy = (sql: string, table: string) =>
    pipeline(
      source.query(copyStreams.to(`COPY (${sql}) TO STDOUT (FORMAT binary)`)),
      target.query(copyStreams.from(`COPY ${table} (key, hash) FROM STDIN (FORMAT binary)`)),
    );
  return {
    async fillState(id) {
      await copy(`SELECT * FROM (${keysSql}) AS k WHERE key::bigint > ${id}`, stateTable);
      await target.query(`
        CREATE SCHEMA by_hand;
        CREATE UNLOGGED TABLE by_hand.state (LIKE ${stateTable} INCLUDING ALL);
        INSERT INTO by_hand.state SELECT * FROM ${stateTable} ORDER BY key`);
      await target.query(`VACUUM ANALYZE ${stateTable}`);
      await target.query("VACUUM ANALYZE by_hand.state");
    },
    async compare() {
      const started = performance.now();
      await target.query(`CREATE UNLOGGED TABLE by_hand.stage (key text COLLATE "C", hash bigint NOT NULL)`);
      await copy(keysSql, "by_hand.stage");
      const { rows } = await target.query<{ key: string }>(`
        SELECT key FROM by_hand.stage FULL JOIN by_hand.state USING (key)
        WHERE stage.hash IS DISTINCT FROM state.hash`);
      const ms = performance.now() - started;
      // What was found is taken over for next time, but not timed: the comparison alone is the reference.
      await target.query(`
        UPDATE by_hand.state SET hash = stage.hash FROM by_hand.stage
        WHERE stage.key = state.key AND stage.hash <> state.hash`);
      await target.query("DROP TABLE by_hand.stage");
      return { ms, differing: rows.length };
    },
    async close() {
      await source.end();
      await target.end();
    },
  };
}
