import { expect, test } from "vitest";
import { startEgret } from "../../src/main.ts";
import { testSettings } from "../support/egret.ts";

const settings = await testSettings();

test("I12: a database that is down at start is named, without its password", async () => {
  const databaseUrl = "postgres://egret:hunter2@127.0.0.1:1/egret";
  const failure = startEgret({ ...settings, databaseUrl });
  await expect(failure).rejects.toThrow(
    "Egret's Postgres does not answer (connect ECONNREFUSED 127.0.0.1:1): check EGRET_DATABASE_URL",
  );
  await expect(failure).rejects.not.toThrow("hunter2");
});

test("a NATS server that is down at start is named, without its password", async () => {
  const failure = startEgret({ ...settings, natsUrl: "nats://egret:hunter2@127.0.0.1:1" });
  await expect(failure).rejects.toThrow("no NATS server answers at 127.0.0.1:1");
  await expect(failure).rejects.not.toThrow("hunter2");
});

test("no role at all is refused with the roles there are", async () => {
  await expect(startEgret({ ...settings, roles: [] })).rejects.toThrow(
    "name at least one role: api, worker, projector, scheduler",
  );
});

test("a missing secret key is refused before anything runs", async () => {
  await expect(startEgret({ ...settings, secretKeys: [] })).rejects.toThrow("EGRET_SECRET_KEY");
});
