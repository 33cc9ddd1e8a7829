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
  /** A shell that knows of the server alone. */
  const remote: Record<string, string> = {
    EGRET_URL: egret.url,
    EGRET_TOKEN: api.token,
    XDG_CONFIG_HOME: home,
    EGRET_DIR: path.join(home, "none"),
  };
  /** A shell that knows of the services alone. */
  const local: Record<string, string> = {
    EGRET_DATABASE_URL: settings.databaseUrl,
    EGRET_NATS_URL: settings.natsUrl,
    EGRET_STREAM_PREFIX: settings.streamPrefix,
    EGRET_SECRET_KEY: settings.secretKeys[0] ?? "",
    EGRET_ALLOW_HTTP: "true",
    XDG_CONFIG_HOME: home,
  };
  const onlyObject = (args: readonly string[], env = remote) => onlyObjectOf(args, env);
  return {
    egret,
    source,
    receiver,
    applied,
    api,
    /** Where logins are kept. */
    home,
    remote,
    local,
    /** What a command prints with --json, with the server elsewhere unless another shell is given. */
    onlyObject,
    /** The same command over the API and over the services. */
    both: (args: readonly string[]): Promise<[CliResult, CliResult]> =>
      Promise.all([runCli(args, remote), runCli(args, local)]),
    /** A full run of `people` to its end. */
    async runPeople(): Promise<number> {
      const end = await onlyObject(["trigger", "people", "--full", "--watch"]);
      expect(end).toMatchObject({ status: "success" });
      return end["run_id"] as number;
    },
    /** Waits until the webhook was told that a run ended, and returns that delivery. */
    async delivered(runId: number): Promise<Record<string, unknown>> {
      const wanted = `/sync_runs/${runId}/deliveries?event=sync.completed&state=delivered`;
      const read = async () => (await api.get(wanted)).body.data as unknown[];
      await expect.poll(async () => (await read()).length, { timeout: 30_000 }).toBe(1);
      const words = ["--run", String(runId), "--webhook", "pager", "--state", "delivered"];
      return onlyObject(["deliveries", "list", ...words]);
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
