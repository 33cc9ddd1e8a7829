/** A scene for whole-program tests: a warehouse table, a destination, a subscriber, and the configuration between them. */
import { Client } from "pg";
import { openServices, type ServiceSettings, type Services } from "../../src/main.ts";
import { migrateToLatest } from "../../src/projections/migrate.ts";
import { type AppliedYaml, applyYaml } from "./egret.ts";
import { type ReceivedRequest, type Receiver, startReceiver } from "./receiver.ts";

/** What the scene is made of. */
export interface Scenario {
  services: Services;
  applied: AppliedYaml;
  destination: Receiver;
  subscriber: Receiver;
  /** Runs SQL on the warehouse. */
  warehouse(sql: string): Promise<void>;
  close(): Promise<void>;
}

/** Rows in the warehouse, rows to a request, and where the warehouse is. */
export interface ScenarioOptions {
  settings: ServiceSettings;
  warehouseUrl: string;
  rows: number;
  batchSize: number;
}

/** Sets the scene; nothing runs yet. The sync is named `people_to_ops`, the webhook `pager`. */
export async function openScenario({
  settings,
  warehouseUrl,
  rows,
  batchSize,
}: ScenarioOptions): Promise<Scenario> {
  const warehouse = async (sql: string): Promise<void> => {
    const client = new Client({ connectionString: warehouseUrl });
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  };
  await warehouse(`create table people (id int primary key, name text);
    insert into people select n, 'Person ' || n from generate_series(1, ${rows}) n`);
  const [destination, subscriber] = await Promise.all([startReceiver(), startReceiver()]);
  await migrateToLatest(settings.databaseUrl);
  const services = await openServices(settings);
  const applied = await applyYaml(
    { services },
    `
workspace: demo
sources:
  warehouse: { type: postgres, url: "${warehouseUrl}" }
destinations:
  ops: { type: webhook, url: "${destination.url}/rows", batch_size: ${batchSize}, rate_limit_per_second: 5000 }
syncs:
  people_to_ops: { source: warehouse, table: public.people, destination: ops, key: id }
webhooks:
  pager: { endpoint: "${subscriber.url}/hook" }
`,
  );
  const close = async () => {
    await services.close();
    await destination.close();
    await subscriber.close();
  };
  return { services, applied, destination, subscriber, warehouse, close };
}

/** What the destination holds: the last value sent of each key. */
export function sentRows(requests: readonly ReceivedRequest[]): Map<string, unknown> {
  const rows = requests.flatMap(
    ({ body }) => (JSON.parse(body.toString()) as { data: { unique_id: number }[] }).data,
  );
  return new Map(rows.map((row) => [String(row.unique_id), row]));
}

/** Requests by a header that stays the same over repeats. */
export function byHeader(
  requests: readonly ReceivedRequest[],
  header: string,
): Map<string, ReceivedRequest[]> {
  return Map.groupBy(requests, ({ headers }) => String(headers[header]));
}
