/** What the tests of commands with a server elsewhere share: that server, and shells that know of it or of its services alone. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Client } from "pg";
import { afterAll, beforeEach, expect } from "vitest";
import { testApi } from "../support/api.ts";
import { type CliResult, runCli } from "../support/cli.ts";
import { applyYaml, testEgret } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { startReceiver } from "../support/receiver.ts";

/** Syncs `people` and `other` of 25 rows to one destination, and a webhook that hears of completed runs. */
export async function openRemoteScene() {
  const warehouse = await testDatabase();
  const egret = await testEgret();
  const source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query("create table people (id text primary key, name text)");
  await source.query("insert into people select 'u' || n, 'name ' || n from generate_series(1, 25) as n");
  const receiver = await startReceiver();
  const applied = await applyYaml(
    egret,
    `
workspace: demo
sources: { warehouse: { type: postgres, url: "${warehouse.url}" } }
destinations:
  hook: { type: webhook, url: "${receiver.url}/hook", batch_size: 10, rate_limit_per_second: null }
webhooks:
  pager: { endpoint: "${receiver.url}/pager", events: [sync.completed] }
syncs:
  people: { table: public.people, source: warehouse, destination: hook, key: id }
  other: { table: public.people, source: warehouse, destination: hook, key: id }
`,
  );
  const api = await testApi(egret);
  const home = await mkdtemp(path.join(tmpdir(), "egret-login-"));
  afterAll(async () => {
    await source.end();
    await receiver.close();
    await rm(home, { recursive: true });
  });
  beforeEach(() => receiver.behave({}));
  const { settings } = egret;
  return {
    egret,
    source,
    receiver,
    applied,
    api,
    /** Where logins are kept. */
    home,
    /** A shell that knows of the server alone. */
    remote: {
      EGRET_URL: egret.url,
      EGRET_TOKEN: api.token,
      XDG_CONFIG_HOME: home,
      EGRET_DIR: path.join(home, "none"),
    },
    /** A shell that knows of the services alone. */
    local: {
      EGRET_DATABASE_URL: settings.databaseUrl,
      EGRET_NATS_URL: settings.natsUrl,
      EGRET_STREAM_PREFIX: settings.streamPrefix,
      EGRET_SECRET_KEY: settings.secretKeys[0] ?? "",
      EGRET_ALLOW_HTTP: "true",
      XDG_CONFIG_HOME: home,
    },
  };
}

/** The objects that a command printed, one a line. */
export function objects(result: CliResult): Record<string, unknown>[] {
  expect(result).toMatchObject({ code: 0 });
  return result.stdout
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** The one object that a command prints with --json. */
export async function onlyObjectOf(
  args: readonly string[],
  env: Record<string, string>,
): Promise<Record<string, unknown>> {
  const [only] = objects(await runCli([...args, "--json"], env));
  return only!;
}
