/** The source table of the sync benchmark, and the comparison as somebody would write it by hand. */
import { pipeline } from "node:stream/promises";
import { Client } from "pg";
import copyStreams from "pg-copy-streams";

/** A table of ten columns and the hand-written comparison with it. */
export interface Warehouse {
  url: string;
  /** Changes every hundredth row, others than the time before; resolves to how many. */
  change(round: number): Promise<number>;
  /** Copies keys and hashes over, joins them with those of last time; milliseconds and the rows that differ. */
  compareByHand(): Promise<{ ms: number; differing: number }>;
  close(): Promise<void>;
}

/** One row in so many changes between two runs. */
const CHANGED_EVERY = 100;

const COLUMNS = "id, email, first_name, last_name, company, country, plan, seats, balance, signed_up_at";
const KEYS_AND_HASHES = `SELECT id::text AS key, hash_record_extended(ROW(${COLUMNS}), 0) AS hash FROM customers`;

/** Makes the table with so many rows, and the state that the comparison by hand begins with. */
export async function openWarehouse(
  urls: { source: string; target: string },
  rows: number,
): Promise<Warehouse> {
  const source = new Client({ connectionString: urls.source });
  const target = new Client({ connectionString: urls.target });
  await source.connect();
  await target.connect();
  await source.query(`
    CREATE TABLE customers (id bigint, email text, first_name text, last_name text, company text, country text,
      plan text, seats int, balance numeric(12, 2), signed_up_at timestamptz);
    INSERT INTO customers
    SELECT n, 'person' || n || '@example.com', 'First' || n % 1000, 'Last' || n % 5000, 'Company ' || n % 20000,
           (ARRAY['FI', 'SE', 'NO', 'DK', 'EE', 'LV', 'LT', 'PL'])[1 + n % 8],
           (ARRAY['free', 'team', 'business'])[1 + n % 3], n % 500, n % 100000 / 7.0,
           timestamptz '2020-01-01' + n * interval '1 minute'
    FROM generate_series(1, ${rows}) n;
    ALTER TABLE customers ADD PRIMARY KEY (id);`);
  await source.query("VACUUM ANALYZE customers");
  await target.query('CREATE TABLE state (key text COLLATE "C", hash bigint NOT NULL)');
  await copyAcross(source, target, "state");
  await target.query("ALTER TABLE state ADD PRIMARY KEY (key)");
  await target.query("VACUUM ANALYZE state");
  return {
    url: urls.source,
    async change(round) {
      const sql = `UPDATE customers SET balance = balance + 1 WHERE id % ${CHANGED_EVERY} = ${round % CHANGED_EVERY}`;
      const changed = (await source.query(sql)).rowCount ?? 0;
      // Else whoever reads the table first would clean up after the change, and the other one would not.
      await source.query("VACUUM customers");
      return changed;
    },
    compareByHand: () => compareByHand(source, target),
    async close() {
      await source.end();
      await target.end();
    },
  };
}

/** `psql -c "COPY … TO STDOUT" | psql -c "COPY … FROM STDIN"`, in the faster, binary format. */
async function copyAcross(source: Client, target: Client, table: string): Promise<void> {
  await pipeline(
    source.query(copyStreams.to(`COPY (${KEYS_AND_HASHES}) TO STDOUT (FORMAT binary)`)),
    target.query(copyStreams.from(`COPY ${table} FROM STDIN (FORMAT binary)`)),
  );
}

async function compareByHand(source: Client, target: Client): Promise<{ ms: number; differing: number }> {
  const started = performance.now();
  await target.query('CREATE UNLOGGED TABLE stage (key text COLLATE "C", hash bigint NOT NULL)');
  await copyAcross(source, target, "stage");
  const { rows } = await target.query<{ key: string }>(`
    SELECT key FROM stage FULL JOIN state USING (key) WHERE stage.hash IS DISTINCT FROM state.hash`);
  const ms = performance.now() - started;
  // What was found is taken over for next time, but not timed: the comparison alone is the reference.
  await target.query(`
    UPDATE state SET hash = stage.hash FROM stage WHERE stage.key = state.key AND stage.hash <> state.hash;
    DROP TABLE stage`);
  return { ms, differing: rows.length };
}
