/** A source table of the sync benchmarks: ten columns, rows of about 110 bytes. */
import { Client } from "pg";

/** One table of the source, `public.customers` or one like it. */
export interface Warehouse {
  /** Adds rows until there are so many. */
  growTo(rows: number): Promise<void>;
  /** Changes one row in so many, others in each round; resolves to how many. */
  change(round: number, oneIn: number): Promise<number>;
  close(): Promise<void>;
}

/** Makes the table, empty. */
export async function openWarehouse(url: string, table: string): Promise<Warehouse> {
  const client = new Client({ connectionString: url });
  await client.connect();
  // Unlogged only to be made sooner: reading it, which is all that is measured, costs the same.
  await client.query(`
    CREATE UNLOGGED TABLE ${table} (id bigint PRIMARY KEY, email text, first_name text, last_name text, company text,
      country text, plan text, seats int, balance numeric(12, 2), signed_up_at timestamptz)`);
  return {
    async growTo(rows) {
      await client.query(`
        INSERT INTO ${table}
        SELECT n, 'person' || n || '@example.com', 'First' || n % 1000, 'Last' || n % 5000, 'Company ' || n % 20000,
               (ARRAY['FI', 'SE', 'NO', 'DK', 'EE', 'LV', 'LT', 'PL'])[1 + n % 8],
               (ARRAY['free', 'team', 'business'])[1 + n % 3], n % 500, n % 100000 / 7.0,
               timestamptz '2020-01-01' + n * interval '1 minute'
        FROM generate_series((SELECT coalesce(max(id), 0) + 1 FROM ${table}), ${rows}) n`);
      await client.query(`VACUUM ANALYZE ${table}`);
    },
    async change(round, oneIn) {
      const where = `id % ${oneIn} = ${round % oneIn}`;
      const { rowCount } = await client.query(`UPDATE ${table} SET balance = balance + 1 WHERE ${where}`);
      // Else whoever reads the table first would clean up after the change, and the other one would not.
      await client.query(`VACUUM ${table}`);
      return rowCount ?? 0;
    },
    close: () => client.end(),
  };
}
