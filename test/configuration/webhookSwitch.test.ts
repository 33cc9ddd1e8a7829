import { randomBytes } from "node:crypto";
import { sql } from "kysely";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { applyChanges } from "../../src/configuration/apply.ts";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { hasChanges, planChanges } from "../../src/configuration/plan.ts";
import { readWebhook } from "../../src/configuration/store.ts";
import { autoDisableWebhook, disableWebhook, enableWebhook } from "../../src/configuration/webhookSwitch.ts";
import { NotFound } from "../../src/domain/errors.ts";
import { openDatabase } from "../../src/projections/database.ts";
import { openSecretBox } from "../../src/security/secretBox.ts";
import { testDatabase } from "../support/namespace.ts";

const { url } = await testDatabase({ migrated: true });
const database = openDatabase(url);
const { db } = database;
const box = openSecretBox([randomBytes(32).toString("base64")]);

afterAll(() => database.close());
beforeEach(() => sql`truncate egret.workspaces, egret.webhooks, egret.outbox cascade`.execute(db));

const OPTIONS = "auto_disable_after_exhausted: 3, disable_on_gone: true";

function plan(options = OPTIONS, endpoint = "https://pager.example/in") {
  const text = `workspace: demo\nwebhooks:\n  pager: { endpoint: "${endpoint}", ${options} }\n`;
  const file = parseEgretFile(text, "egret.yaml", { env: {}, allowHttp: false });
  return planChanges({ db, box, file, describe: () => Promise.reject(new Error("no source is asked")) });
}

/** Applies such a file and gives the id of its webhook. */
async function apply(options?: string, endpoint?: string): Promise<number> {
  await applyChanges({ db, box, plan: await plan(options, endpoint), actor: "egret apply" });
  return (await db.selectFrom("egret.webhooks").select("id").executeTakeFirstOrThrow()).id;
}

async function rowOf(id: number) {
  return db
    .selectFrom("egret.webhooks")
    .select(["enabled", "disabled_reason as reason", "disabled_at as at", "version"])
    .where("id", "=", id)
    .executeTakeFirstOrThrow();
}
/** What the log will be told last: by whom, and the settings. */
async function lastTold() {
  const row = await db.selectFrom("egret.outbox").selectAll().orderBy("id", "desc").executeTakeFirstOrThrow();
  return row as unknown as { version: number; data: { actor: string; settings: Record<string, unknown> } };
}

describe("disabling by itself", () => {
  test("is off unless asked for", async () => {
    const id = await apply("enabled: true");
    expect(await autoDisableWebhook(db, id, { reason: "gone", exhaustedInARow: 0 })).toBeNull();
    expect(await autoDisableWebhook(db, id, { reason: "exhausted", exhaustedInARow: 900 })).toBeNull();
    expect(await rowOf(id)).toEqual({ enabled: true, reason: null, at: null, version: 1 });
  });

  test("switches off a webhook that is gone, and leaves word of it in the same transaction", async () => {
    const id = await apply();
    expect(await readWebhook(db, box, id)).toMatchObject({
      autoDisableAfterExhausted: 3,
      disableOnGone: true,
      honorRetryAfter: false,
    });
    const disabled = await autoDisableWebhook(db, id, { reason: "gone", exhaustedInARow: 0 });
    expect(disabled).toEqual({ configVersion: 2, reason: "gone" });
    const { at } = await rowOf(id);
    expect(await rowOf(id)).toEqual({ enabled: false, reason: "gone", at: expect.any(Date), version: 2 });
    expect(await readWebhook(db, box, id)).toMatchObject({ enabled: false });
    expect(await lastTold()).toMatchObject({
      version: 2,
      data: {
        actor: "egret auto-disable",
        settings: { enabled: false, disabled_reason: "gone", disabled_at: at?.toISOString() },
      },
    });
  });

  test("counts lost deliveries against the option, also those of a webhook that is gone", async () => {
    const id = await apply("auto_disable_after_exhausted: 3");
    expect(await autoDisableWebhook(db, id, { reason: "exhausted", exhaustedInARow: 2 })).toBeNull();
    expect(await autoDisableWebhook(db, id, { reason: "gone", exhaustedInARow: 2 })).toBeNull();
    const disabled = await autoDisableWebhook(db, id, { reason: "gone", exhaustedInARow: 3 });
    expect(disabled).toEqual({ configVersion: 2, reason: "exhausted" });
  });

  test("happens once, however many ask at the same time", async () => {
    const id = await apply();
    const gone = { reason: "gone", exhaustedInARow: 0 } as const;
    const answers = await Promise.all([1, 2, 3].map(() => autoDisableWebhook(db, id, gone)));
    expect(answers.filter((answer) => answer !== null)).toHaveLength(1);
    expect((await rowOf(id)).version).toBe(2);
    expect(await autoDisableWebhook(db, id + 1, gone)).toBeNull();
  });

  test("leaves no trace when it cannot be told", async () => {
    const id = await apply();
    await sql`alter table egret.outbox add constraint shut check (version < 2) not valid`.execute(db);
    try {
      await expect(autoDisableWebhook(db, id, { reason: "gone", exhaustedInARow: 0 })).rejects.toThrow(
        "shut",
      );
      expect((await rowOf(id)).enabled).toBe(true);
    } finally {
      await sql`alter table egret.outbox drop constraint shut`.execute(db);
    }
  });
});

describe("egret apply and a webhook that was disabled elsewhere", () => {
  test("an unchanged file finds nothing to do, and says that it stays disabled", async () => {
    const id = await apply();
    await disableWebhook(db, { id, reason: "exhausted", actor: "test" });
    const made = await plan();
    expect(hasChanges(made)).toBe(false);
    expect(made.staysDisabled).toEqual([{ name: "pager", reason: "exhausted", at: expect.any(Date) }]);
    await apply();
    expect((await rowOf(id)).enabled).toBe(false);
  });

  test("a file that changes something else leaves it disabled, and tells the log so", async () => {
    const id = await apply();
    await disableWebhook(db, { id, reason: "gone", actor: "test" });
    await apply(OPTIONS, "https://other.example/in");
    expect(await rowOf(id)).toMatchObject({ enabled: false, reason: "gone", version: 3 });
    expect((await lastTold()).data.settings).toMatchObject({
      endpoint: "https://other.example/in",
      enabled: false,
      disabled_reason: "gone",
    });
  });

  test("a file that disables it takes that over, and may enable it afterwards", async () => {
    const id = await apply();
    await disableWebhook(db, { id, reason: "operator", actor: "test" });
    const made = await plan(`${OPTIONS}, enabled: false`);
    expect(made.staysDisabled).toEqual([]);
    await apply(`${OPTIONS}, enabled: false`);
    expect(await rowOf(id)).toMatchObject({ enabled: false, reason: null, at: null });
    expect((await plan()).staysDisabled).toEqual([]);
    await apply();
    expect(await rowOf(id)).toMatchObject({ enabled: true, reason: null });
    expect((await lastTold()).data.settings).toMatchObject({ enabled: true });
  });
});

describe("enabling again", () => {
  test("gives back the switch and says why it was off", async () => {
    const id = await apply();
    await disableWebhook(db, { id, reason: "gone", actor: "test" });
    expect(await enableWebhook(db, { id, actor: "egret webhook enable" })).toMatchObject({
      isChanged: true,
      configVersion: 3,
      wasDisabled: { reason: "gone", at: expect.any(Date) },
    });
    expect(await rowOf(id)).toEqual({ enabled: true, reason: null, at: null, version: 3 });
    expect((await lastTold()).data.settings).not.toHaveProperty("disabled_reason");
    expect((await plan()).staysDisabled).toEqual([]);
  });

  test("changes nothing where nothing is off, and names a webhook that is gone", async () => {
    const id = await apply();
    expect(await enableWebhook(db, { id, actor: "test" })).toMatchObject({
      isChanged: false,
      configVersion: 1,
    });
    await disableWebhook(db, { id, reason: "operator", actor: "test" });
    const again = await disableWebhook(db, { id, reason: "gone", actor: "test" });
    expect(again).toMatchObject({ isChanged: false, wasDisabled: { reason: "operator" } });
    await expect(enableWebhook(db, { id: id + 1, actor: "test" })).rejects.toBeInstanceOf(NotFound);
  });
});
