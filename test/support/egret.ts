/** A whole Egret inside the test's process, on a database and streams of its own. */
import { randomBytes, randomUUID } from "node:crypto";
import { pino } from "pino";
import { afterAll } from "vitest";
import { applyChanges } from "../../src/configuration/apply.ts";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { planChanges } from "../../src/configuration/plan.ts";
import type { AnyEvent } from "../../src/domain/event.ts";
import { publishCommand } from "../../src/log/commands.ts";
import { connectLog } from "../../src/log/connection.ts";
import { follow } from "../../src/log/follow.ts";
import { Topology } from "../../src/log/topology.ts";
import { type EgretSettings, ROLES, type RunningEgret, startEgret } from "../../src/main.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import { removeStreams, TEST_LIMITS } from "./log.ts";
import { natsUrl, streamPrefix, testDatabase } from "./namespace.ts";

/** An Egret under test. */
export interface TestEgret extends RunningEgret {
  settings: EgretSettings;
  databaseUrl: string;
}

/** What `apply` made: ids by kind and name, and the secrets of new webhooks by name. */
export interface AppliedYaml {
  id(kind: string, name: string): Promise<number>;
  secrets: Map<string, string>;
}

/** Applies the text of an egret.yaml through the same code as `egret apply`. */
export async function applyYaml(
  { services }: Pick<RunningEgret, "services">,
  yaml: string,
): Promise<AppliedYaml> {
  const { box, database } = services;
  const file = parseEgretFile(yaml, "egret.yaml", { env: {}, allowHttp: true });
  const plan = await planChanges({ db: database.db, box, file, describe: postgresSource.describeObject });
  const { webhookSecrets } = await applyChanges({ db: database.db, box, plan, actor: "test" });
  return {
    secrets: new Map(webhookSecrets.map(({ name, secret }) => [name, secret])),
    async id(kind, name) {
      const { rows } = await database.pool.query<{ id: number }>(
        `select id from egret.${kind}s where name = $1`,
        [name],
      );
      if (rows[0] === undefined) throw new Error(`no ${kind} ${name}`);
      return rows[0].id;
    },
  };
}

/** Triggers a sync by a command and waits for an event of the run, its end unless another is named. */
export async function triggerAndWait(
  { services }: Pick<RunningEgret, "services">,
  payload: { sync: string; force_full_sync?: boolean; allow_deletes?: boolean; allow_rejects?: boolean },
  {
    until = ["sync.success", "sync.failed"],
    timeoutMs = 60_000,
    id = randomUUID(),
    traceparent,
  }: { until?: string[]; timeoutMs?: number; id?: string; traceparent?: string } = {},
): Promise<{ runId: number; events: AnyEvent[] }> {
  const { connection } = services;
  const stop = AbortSignal.timeout(timeoutMs);
  await publishCommand(connection, { workspaceId: 1, verb: "trigger", payload, id, traceparent });
  const events: AnyEvent[] = [];
  let runId: number | null = null;
  for await (const batch of follow(connection, "runs", { fromSequence: 1, maxBatch: 500, signal: stop })) {
    for (const { event } of batch) {
      if (event.type === "sync.triggered" && event.data.command_id === id) runId = event.data.sync_run_id;
      if (event.type === "command.refused" && event.data.command_id === id)
        return { runId: 0, events: [event] };
      if (runId === null || event.subject !== `run/${runId}`) continue;
      events.push(event);
      if (until.includes(event.type)) return { runId, events };
    }
  }
  throw new Error(
    `the run did not come to ${until.join(" or ")} within ${timeoutMs} ms: ${events.map(({ type }) => type).join(", ")}`,
  );
}

/** Settings of an Egret with its own database, streams and key. */
export async function testSettings(): Promise<EgretSettings> {
  const { url } = await testDatabase({ migrated: true });
  return settingsFor({ databaseUrl: url, natsUrl: natsUrl() });
}

/** Settings of an Egret on servers that the test chose. */
export function settingsFor(servers: { databaseUrl: string; natsUrl: string }): EgretSettings {
  return {
    ...servers,
    secretKeys: [randomBytes(32).toString("base64")],
    streamPrefix: streamPrefix(),
    limits: TEST_LIMITS,
    roles: ROLES,
    http: { host: "127.0.0.1", port: 0 },
    concurrency: 100,
    apiRequestsPerSecond: 0,
    allowHttp: true,
    outboundAllow: [],
    logger: pino({ level: process.env["EGRET_LOG_LEVEL"] ?? "silent" }),
  };
}

/** Starts all roles; everything is closed and removed after the file's last test. */
export async function testEgret(changes: Partial<EgretSettings> = {}): Promise<TestEgret> {
  const settings = { ...(await testSettings()), ...changes };
  const running = await startEgret(settings);
  afterAll(async () => {
    await running.close();
    const connection = await connectLog(settings.natsUrl, new Topology(settings.streamPrefix));
    await removeStreams(connection);
    await connection.close();
  });
  return { ...running, settings, databaseUrl: settings.databaseUrl };
}
