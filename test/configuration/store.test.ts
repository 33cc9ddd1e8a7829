import { randomBytes } from "node:crypto";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applyChanges } from "../../src/configuration/apply.ts";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { planChanges } from "../../src/configuration/plan.ts";
import {
  findSync,
  findWorkspace,
  readDestination,
  readSource,
  readSync,
  readWebhook,
  webhookStamps,
} from "../../src/configuration/store.ts";
import { SubscriptionReader } from "../../src/configuration/subscriptions.ts";
import { LIFECYCLE_EVENTS } from "../../src/domain/lifecycle.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { openSecretBox } from "../../src/security/secretBox.ts";
import { testDatabase } from "../support/namespace.ts";

const key = randomBytes(32).toString("base64");
const box = openSecretBox([key]);
let database: OpenDatabase;
let workspaceId = 0;

const describeColumns = async () => [{ name: "id", type: "bigint" }];

beforeAll(async () => {
  const { url } = await testDatabase({ migrated: true });
  database = openDatabase(url);
  const text = `workspace: demo
sources: { warehouse: { type: postgres, url: "postgres://u:hunter2@h/d" } }
destinations: { ops: { type: webhook, url: https://ops.example } }
syncs:
  table: { label: Airports, table: public.airports, source: warehouse, destination: ops, key: id }
webhooks:
  all: { endpoint: https://all.example }
  failures: { endpoint: https://failures.example, events: [sync.failed] }
  off: { endpoint: https://off.example, enabled: false }
`;
  const file = parseEgretFile(text, "egret.yaml", { env: {}, allowHttp: false });
  const plan = await planChanges({ db: database.db, box, file, describe: describeColumns });
  await applyChanges({ db: database.db, box, plan, actor: "test" });
  workspaceId = (await findWorkspace(database.db, "demo"))!.id;
});
afterAll(() => database.close());

async function idOf(name: string): Promise<number> {
  const row = await database.db
    .selectFrom("egret.webhooks")
    .select("id")
    .where("name", "=", name)
    .executeTakeFirst();
  return row!.id;
}

describe("the configuration store", () => {
  test("finds a workspace by name and by id", async () => {
    expect(await findWorkspace(database.db, workspaceId)).toEqual({ id: workspaceId, name: "demo" });
    expect(await findWorkspace(database.db, "none")).toBeNull();
  });

  test("finds a sync by name, by id and by the id's digits, in its workspace only", async () => {
    const sync = await findSync(database.db, box, { workspaceId, nameOrId: "table" });
    expect(sync).toMatchObject({
      name: "table",
      label: "Airports",
      object: { type: "table", schema: "public", table: "airports" },
      source: { name: "warehouse", url: "postgres://u:hunter2@h/d" },
      destination: { name: "ops", settings: { batch_size: 1, timeout_seconds: 30 }, secrets: {} },
      mappings: [{ column: "id", to: "unique_id", key: true }],
    });
    expect(await findSync(database.db, box, { workspaceId, nameOrId: sync!.id })).toEqual(sync);
    expect(await findSync(database.db, box, { workspaceId, nameOrId: String(sync!.id) })).toEqual(sync);
    for (const nameOrId of ["none", "9".repeat(30), "' or 1=1", ""]) {
      expect(await findSync(database.db, box, { workspaceId, nameOrId })).toBeNull();
    }
    expect(await findSync(database.db, box, { workspaceId: workspaceId + 1, nameOrId: "table" })).toBeNull();
  });

  test("says null of what is not there", async () => {
    expect(await readSync(database.db, box, 999)).toBeNull();
    expect(await readSource(database.db, box, 999)).toBeNull();
    expect(await readDestination(database.db, box, 999)).toBeNull();
    expect(await readWebhook(database.db, box, 999)).toBeNull();
  });

  test("reads a webhook with its secret, and not under another key", async () => {
    const id = await idOf("all");
    expect(await readWebhook(database.db, box, id)).toMatchObject({
      id,
      name: "all",
      endpoint: "https://all.example",
      events: [...LIFECYCLE_EVENTS],
      enabled: true,
      createdAt: expect.any(Date),
      secret: expect.stringMatching(/^whsec_/),
    });
    const other = openSecretBox([randomBytes(32).toString("base64")]);
    await expect(readWebhook(database.db, other, id)).rejects.toThrow("was sealed with key");
    const rotated = openSecretBox([randomBytes(32).toString("base64"), key]);
    expect((await readWebhook(database.db, rotated, id))?.secret).toMatch(/^whsec_/);
  });

  test("gives an event to webhooks that are enabled, subscribed and older than it", async () => {
    const producedAt = new Date(Date.now() + 1000);
    const [all, failures] = [await idOf("all"), await idOf("failures")];
    const subscriptions = new SubscriptionReader(database.pool);
    expect(await subscriptions.webhooksFor({ workspaceId, event: "sync.failed", producedAt })).toEqual([
      all,
      failures,
    ]);
    expect(await subscriptions.webhooksFor({ workspaceId, event: "sync.started", producedAt })).toEqual([
      all,
    ]);
    expect(await subscriptions.webhooksFor({ workspaceId: 999, event: "sync.failed", producedAt })).toEqual(
      [],
    );
    await sql`update egret.webhooks set created_at = ${producedAt} where id = ${all}`.execute(database.db);
    expect(await subscriptions.webhooksFor({ workspaceId, event: "sync.failed", producedAt })).toEqual([
      failures,
    ]);
  });

  test("answers each question about an event from a read that began after it was asked", async () => {
    const subscriptions = new SubscriptionReader(database.pool);
    const ask = () =>
      subscriptions.webhooksFor({
        workspaceId,
        event: "sync.failed",
        producedAt: new Date(Date.now() + 60_000),
      });
    const failures = await idOf("failures");
    const before = [ask(), ask(), ask()];
    await sql`update egret.webhooks set enabled = false where id = ${failures}`.execute(database.db);
    const after = [ask(), ask()];
    await Promise.all(before);
    for (const answer of after) expect(await answer).not.toContain(failures);
    await sql`update egret.webhooks set enabled = true where id = ${failures}`.execute(database.db);
    expect(await ask()).toContain(failures);
  });

  test("has a stamp that changes with its row, and when its former secret runs out", async () => {
    const [all, failures] = [await idOf("all"), await idOf("failures")];
    const stamps = () => webhookStamps(database.db, [all, failures, 999]);
    const before = await stamps();
    expect(new Set(before.keys())).toEqual(new Set([all, failures]));
    expect(await stamps()).toEqual(before);
    await sql`update egret.webhooks set previous_secret = secret, previous_secret_until = now() + interval '2 s'
      where id = ${all}`.execute(database.db);
    const overlapping = await stamps();
    expect(overlapping.get(all)).not.toBe(before.get(all));
    expect(overlapping.get(failures)).toBe(before.get(failures));
    await expect
      .poll(async () => (await stamps()).get(all), { timeout: 10_000 })
      .not.toBe(overlapping.get(all));
  });
});
