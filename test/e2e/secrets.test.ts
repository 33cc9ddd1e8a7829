import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AnyEvent } from "../../src/domain/event.ts";
import { follow } from "../../src/log/follow.ts";
import type { StreamName } from "../../src/log/topology.ts";
import { openServices, type Services } from "../../src/main.ts";
import { type AppliedYaml, applyYaml, testSettings, triggerAndWait } from "../support/egret.ts";
import { type EgretProcess, startEgretProcess } from "../support/egretProcess.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

/** Values that stand in rows, and secrets: none of them may be seen outside the request they are for. */
const ROW_VALUE = "ROWVALUE-4711";
const TOKEN = "Bearer TOKEN-4711";
const SIGNING_SECRET = "SIGNING-4711";
const warehouse = await testDatabase();
const settings = await testSettings();
let services: Services;
let worker: EgretProcess;
let destination: Receiver;
let subscriber: Receiver;
let applied: AppliedYaml;

beforeAll(async () => {
  const source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(
    `create table people (id text, name text); insert into people values ('1', '${ROW_VALUE}')`,
  );
  await source.end();
  destination = await startReceiver(({ body }) => ({ status: 422, body: `cannot take ${body.toString()}` }));
  subscriber = await startReceiver({ status: 500, body: `secret ${TOKEN}` });
  services = await openServices(settings);
  applied = await applyYaml(
    { services },
    `
workspace: demo
sources:
  warehouse: { type: postgres, url: "${warehouse.url}" }
models:
  good: { source: warehouse, query: "select * from people" }
  bad: { source: warehouse, query: "select id, name, name::text::int as number from people" }
destinations:
  ops: { type: webhook, url: "${destination.url}", auth_token: "${TOKEN}", signing_secret: "${SIGNING_SECRET}" }
syncs:
  refused: { model: good, destination: ops, key: id }
  broken: { model: bad, destination: ops, key: id }
webhooks:
  pager: { endpoint: "${subscriber.url}" }
`,
  );
  worker = await startEgretProcess(settings);
});

afterAll(async () => {
  await services.close();
  await destination.close();
  await subscriber.close();
});

async function everyEvent(stream: StreamName): Promise<AnyEvent[]> {
  const { lastSequence } = await services.log.info(stream);
  const stop = AbortSignal.timeout(10_000);
  const events: AnyEvent[] = [];
  for await (const batch of follow(services.connection, stream, {
    fromSequence: 1,
    maxBatch: 500,
    signal: stop,
  })) {
    events.push(...batch.map(({ event }) => event));
    if ((batch.at(-1)?.sequence ?? 0) >= lastSequence) return events;
  }
  return events;
}

describe("I11: no secret, token or row value", () => {
  test("is in an event, a log line or a read model, whether runs go well or fail", async () => {
    const refused = await triggerAndWait({ services }, { sync: "refused" });
    expect(refused.events.find(({ type }) => type === "sync.loaded")?.data).toMatchObject({
      records_failed: 1,
    });
    const broken = await triggerAndWait({ services }, { sync: "broken" });
    expect(broken.events.at(-1)?.type).toBe("sync.failed");
    expect(broken.events.at(-2)?.data).toMatchObject({ error_code: "SOURCE_QUERY_FAILED" });
    await subscriber.waitFor(8);

    const events = [...(await everyEvent("runs")), ...(await everyEvent("deliveries"))];
    expect(events.length).toBeGreaterThan(20);
    const { rows: readModels } = await services.database.pool.query(
      `select (select json_agg(r) from egret_read.runs r) as runs, (select json_agg(d) from egret_read.deliveries d) as deliveries,
              (select json_agg(c) from egret_read.config_changes c) as changes`,
    );
    const seen = {
      events: JSON.stringify(events),
      log: worker.output(),
      readModels: JSON.stringify(readModels),
    };
    expect(seen.log).toContain("delivery.attempted");
    const password = new URL(warehouse.url).password;
    expect(password.length).toBeGreaterThan(5);
    const secrets = [
      ROW_VALUE,
      TOKEN,
      "TOKEN-4711",
      SIGNING_SECRET,
      password,
      applied.secrets.get("pager") ?? "none",
      settings.secretKeys[0] ?? "none",
    ];
    for (const [where, text] of Object.entries(seen)) {
      for (const secret of secrets) expect(text.includes(secret), `${secret} in ${where}`).toBe(false);
    }
  });

  test("is readable in our tables of configuration either", async () => {
    const { rows } = await services.database.pool.query(
      `select (select json_agg(s) from egret.sources s) as sources, (select json_agg(d) from egret.destinations d) as destinations,
              (select json_agg(w) from egret.webhooks w) as webhooks, (select json_agg(o) from egret.outbox o) as outbox`,
    );
    const text = JSON.stringify(rows);
    for (const secret of [
      TOKEN,
      SIGNING_SECRET,
      new URL(warehouse.url).password,
      applied.secrets.get("pager") ?? "none",
    ]) {
      expect(text.includes(secret)).toBe(false);
    }
  });
});
