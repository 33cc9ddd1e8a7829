import { randomBytes } from "node:crypto";
import { Webhook as Receiver } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applyChanges } from "../../src/configuration/apply.ts";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { rotateWebhookSecret, setPaused } from "../../src/configuration/operations.ts";
import { hasChanges, planChanges } from "../../src/configuration/plan.ts";
import { readDestination, readWebhook } from "../../src/configuration/store.ts";
import type { EventData } from "../../src/domain/event.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { pingPayload } from "../../src/runtime/deliveries/ping.ts";
import { webhookRequest } from "../../src/runtime/deliveries/webhookTarget.ts";
import { openSecretBox } from "../../src/security/secretBox.ts";
import { signBody } from "../../src/security/signature.ts";
import { testDatabase } from "../support/namespace.ts";

const box = openSecretBox([randomBytes(32).toString("base64")]);
const FILE = `workspace: demo
sources: { warehouse: { type: postgres, url: "postgres://u:hunter2@h/d" } }
destinations: { ops: { type: webhook, url: https://ops.example, auth_token: hunter2hunter2 } }
webhooks:
  pager: { endpoint: https://pager.example }
  other: { endpoint: https://other.example }
`;
let database: OpenDatabase;
let pager = 0;
let ops = 0;
let firstSecret = "";

async function planned(text: string) {
  const file = parseEgretFile(text, "egret.yaml", { env: {}, allowHttp: false });
  const describeColumns = async () => [{ name: "id", type: "bigint" }];
  return planChanges({ db: database.db, box, file, describe: describeColumns });
}
const apply = async (text: string) =>
  applyChanges({ db: database.db, box, plan: await planned(text), actor: "test" });
const idOf = async (table: "egret.webhooks" | "egret.destinations", name: string) =>
  (await database.db.selectFrom(table).select("id").where("name", "=", name).executeTakeFirstOrThrow()).id;
const outbox = async (kind: string, id: number) => {
  const rows = await database.db.selectFrom("egret.outbox").selectAll().orderBy("id").execute();
  return rows
    .filter((row) => row.kind === kind && row.object_id === id)
    .map(({ change, version, data }) => ({ change, version, data: data as EventData<"config.updated"> }));
};

beforeAll(async () => {
  database = openDatabase((await testDatabase({ migrated: true })).url);
  const { webhookSecrets } = await apply(FILE);
  firstSecret = webhookSecrets.find(({ name }) => name === "pager")?.secret ?? "";
  [pager, ops] = [await idOf("egret.webhooks", "pager"), await idOf("egret.destinations", "ops")];
});
afterAll(() => database.close());

const onWebhook = () => ({
  db: database.db,
  box,
  kind: "webhook" as const,
  id: pager,
  actor: "egret webhook pause",
});
const onDestination = () => ({
  db: database.db,
  box,
  kind: "destination" as const,
  id: ops,
  actor: "egret test",
});

describe("pausing", () => {
  test("holds until it is resumed, is said once, and leaves an event with the actor and no secret", async () => {
    const before = (await outbox("webhook", pager)).length;
    expect(await setPaused(onWebhook(), true)).toBe(true);
    expect(await setPaused(onWebhook(), true)).toBe(false);
    expect((await readWebhook(database.db, box, pager))?.paused).toBe(true);
    const events = (await outbox("webhook", pager)).slice(before);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({
      change: "updated",
      data: { kind: "webhook", name: "pager", actor: "egret webhook pause" },
    });
    expect(events[0]?.data.settings).toMatchObject({
      endpoint: "https://pager.example/",
      enabled: true,
      paused: true,
    });
    expect(await setPaused(onWebhook(), false)).toBe(true);
    expect((await readWebhook(database.db, box, pager))?.paused).toBe(false);
    expect((await outbox("webhook", pager)).at(-1)?.data.settings).not.toHaveProperty("paused");
  });

  test("works for a destination too, whose event names its secrets and holds none", async () => {
    expect(await setPaused(onDestination(), true)).toBe(true);
    expect((await readDestination(database.db, box, ops))?.paused).toBe(true);
    const { data } = (await outbox("destination", ops)).at(-1) ?? {};
    expect(data?.settings).toMatchObject({ paused: true, secrets_set: ["auth_token"] });
    expect(JSON.stringify(data)).not.toContain("hunter2");
    await setPaused(onDestination(), false);
  });

  test("outlives an apply of the same file, and of one that changes something else of it", async () => {
    await setPaused(onWebhook(), true);
    expect(hasChanges(await planned(FILE))).toBe(false);
    await apply(FILE.replace("https://pager.example", "https://new.example"));
    expect(await readWebhook(database.db, box, pager)).toMatchObject({
      endpoint: expect.stringContaining("new.example"),
      paused: true,
    });
    expect((await outbox("webhook", pager)).at(-1)?.data).toMatchObject({
      actor: "test",
      settings: { paused: true },
    });
    await apply(FILE);
    await setPaused(onWebhook(), false);
  });

  test("keeps the versions of an object gapless, so that the relay can append each change", async () => {
    const versions = (await outbox("webhook", pager)).map(({ version }) => version);
    expect(versions).toEqual(versions.map((_, index) => index + 1));
  });

  test("says so when the target was deleted", async () => {
    await expect(setPaused({ ...onWebhook(), id: 9_999 }, true)).rejects.toThrow(
      "webhook 9999 was deleted meanwhile",
    );
  });
});

const rotate = (overlapMs: number) =>
  rotateWebhookSecret({ db: database.db, box, id: pager, actor: "egret webhook rotate-secret" }, overlapMs);

/** What a receiver gets now, checked with the public library under a secret. */
async function received() {
  const webhook = await readWebhook(database.db, box, pager);
  if (webhook === null) throw new Error("no webhook");
  const pending = { payload: pingPayload(1), event_id: "event-1", delivery_id: "7-1-14" };
  const { headers, body } = webhookRequest(webhook, pending, {
    attempt: 1,
    userAgent: "test",
    nowMs: Date.now(),
  });
  const accepts = (secret: string) => {
    try {
      new Receiver(secret).verify(body, headers);
      return true;
    } catch {
      return false;
    }
  };
  return { headers, body, accepts };
}

describe("rotating a webhook's secret", () => {
  test("without an overlap stops the old one at once", async () => {
    const { secret, previousUntil } = await rotate(0);
    expect(previousUntil).toBeNull();
    const { headers, accepts } = await received();
    expect(headers["webhook-signature"]?.split(" ")).toHaveLength(1);
    expect([accepts(secret), accepts(firstSecret)]).toEqual([true, false]);
  });

  test("with an overlap signs by both, the new one first, and X-Signature by the new one alone", async () => {
    const old = (await readWebhook(database.db, box, pager))?.secret ?? "";
    const { secret, previousUntil } = await rotate(3_600_000);
    expect(secret).not.toBe(old);
    expect(Math.abs((previousUntil?.getTime() ?? 0) - Date.now() - 3_600_000)).toBeLessThan(60_000);
    const { headers, body, accepts } = await received();
    expect(headers["webhook-signature"]).toMatch(/^v1,\S{44} v1,\S{44}$/);
    expect([accepts(secret), accepts(old), accepts(firstSecret)]).toEqual([true, true, false]);
    expect(headers["x-signature"]).toBe(signBody(secret, body));

    // The new one comes first: a receiver that reads only one signature finds it.
    const onlyFirst = { ...headers, "webhook-signature": headers["webhook-signature"]?.split(" ")[0] ?? "" };
    expect(() => new Receiver(secret).verify(body, onlyFirst)).not.toThrow();
    expect(() => new Receiver(old).verify(body, onlyFirst)).toThrow("No matching signature found");

    // Again during the overlap: the oldest stops.
    const third = await rotate(3_600_000);
    const now = await received();
    expect([now.accepts(third.secret), now.accepts(secret), now.accepts(old)]).toEqual([true, true, false]);
  });

  test("ends the overlap at its time", async () => {
    const { secret } = await rotate(3_600_000);
    const previous = (await readWebhook(database.db, box, pager))?.previousSecret ?? "";
    await database.pool.query(
      "update egret.webhooks set previous_secret_until = now() - interval '1 second' where id = $1",
      [pager],
    );
    const { accepts, headers } = await received();
    expect([accepts(secret), accepts(previous)]).toEqual([true, false]);
    expect(headers["webhook-signature"]?.split(" ")).toHaveLength(1);
  });

  test("stores the old secret encrypted, leaves other webhooks alone, and tells the log nothing secret", async () => {
    const old = (await readWebhook(database.db, box, pager))?.secret ?? "";
    const { secret, previousUntil } = await rotate(60_000);
    const { rows } = await database.pool.query("select * from egret.webhooks");
    for (const text of [JSON.stringify(rows), JSON.stringify(await outbox("webhook", pager))]) {
      for (const hidden of [old, secret]) expect(text).not.toContain(hidden.replace("whsec_", ""));
    }
    expect((await outbox("webhook", pager)).at(-1)?.data).toMatchObject({
      actor: "egret webhook rotate-secret",
      settings: { previous_secret_until: previousUntil?.toISOString() },
    });
    const other = await readWebhook(database.db, box, await idOf("egret.webhooks", "other"));
    expect(other?.previousSecret).toBeNull();
    expect(hasChanges(await planned(FILE))).toBe(false);
  });
});
