/** The source table of the sync benchmark: ten columns, rows of about 110 bytes. */
import { Client } from "pg";

/** The table `public.customers`. */
export interface Warehouse {
  /** Adds rows until there are so many. */
  growTo(rows: number): Promise<void>;
  /** Changes every hundredth row, others in each round; resolves to how many. */
  change(round: number): Promise<number>;
  close(): Promise<void>;
}

/** One row in so many changes between two runs. */
const CHANGED_EVERY = 100;

/** Makes the table, empty. */
export async function openWarehouse(url: string): Promise<Warehouse> {
  const client = new Client({ connectionString: url });
  await client.connect();
  // Unlogged only to be made sooner: reading it, which is all that is measured, costs the same.
  await client.query(`
    CREATE UNLOGGED TABLE customers (id bigint PRIMARY KEY, email text, first_name text, last_name text, company text,
      country text, plan text, seats int, balance numeric(12, 2), signed_up_at timestamptz)`);
  return {
    async growTo(rows) {
      await client.query(`
        INSERT INTO customers
        SELECT n, 'person' || n || '@example.com', 'First' || n % 1000, 'Last' || n % 5000, 'Company ' || n % 20000,
               (ARRAY['FI', 'SE', 'NO', 'DK', 'EE', 'LV', 'LT', 'PL'])[1 + n % 8],
               (ARRAY['free', 'team', 'business'])[1 + n % 3], n % 500, n % 100000 / 7.0,
               timestamptz '2020-01-01' + n * interval '1 minute'
        FROM generate_series((SELECT coalesce(max(id), 0) + 1 FROM customers), ${rows}) n`);
      await client.query("VACUUM ANALYZE customers");
    },
    async change(round) {
      const where = `id % ${CHANGED_EVERY} = ${round % CHANGED_EVERY}`;
      const { rowCount } = await client.query(`UPDATE customers SET balance = balance + 1 WHERE ${where}`);
      // Else whoever reads the table first would clean up after the change, and the other one would not.
      await client.query("VACUUM customers");
      return rowCount ?? 0;
    },
    close: () => client.end(),
  };
}
