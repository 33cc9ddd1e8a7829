import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { disableWebhook } from "../../src/configuration/webhookSwitch.ts";
import { ENDPOINT_POLICY } from "../../src/domain/endpointPolicy.ts";
import { connectLog, ensureTopology, type LogConnection } from "../../src/log/connection.ts";
import { EventLog } from "../../src/log/eventLog.ts";
import { follow } from "../../src/log/follow.ts";
import { Topology } from "../../src/log/topology.ts";
import { waitForSequence } from "../../src/projections/checkpoint.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { type Projector, startProjector } from "../../src/projections/projector.ts";
import { moveEndpoint } from "../../src/runtime/endpoints/endpointTransitions.ts";
import { ownInstallation, runCli } from "../support/cli.ts";
import { removeStreams, TEST_LIMITS } from "../support/log.ts";

const installation = await ownInstallation();
let dir: string;
let file: string;
let connection: LogConnection;
let log: EventLog;
let database: OpenDatabase;
let projector: Projector;
let id: number;

const egret = (...args: string[]) => runCli(args, installation);
const yaml = (more = "") => `workspace: demo
webhooks:
  pager: { endpoint: "https://pager.example/in", disable_on_gone: true${more} }
  spare: { endpoint: "https://spare.example/in" }
`;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "egret-cli-"));
  file = path.join(dir, "egret.yaml");
  await writeFile(file, yaml());
  const topology = new Topology(installation["EGRET_STREAM_PREFIX"]);
  connection = await connectLog(installation["EGRET_NATS_URL"]!, topology);
  await ensureTopology(connection, TEST_LIMITS);
  log = new EventLog(connection);
  database = openDatabase(installation["EGRET_DATABASE_URL"]!);
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const source = {
    follow: (stream: "runs" | "deliveries", options: Parameters<typeof follow>[2]) =>
      follow(connection, stream, options),
    info: (stream: "runs" | "deliveries") => log.info(stream),
  } as Parameters<typeof startProjector>[0]["source"];
  projector = startProjector({ source, database, log: quiet });
});

afterAll(async () => {
  await projector.close();
  log.close();
  await removeStreams(connection);
  await connection.close();
  await database.close();
  await rm(dir, { recursive: true, force: true });
});

/** Waits until the read models show all that the log holds. */
async function projected(): Promise<void> {
  const { lastSequence: sequence } = await log.info("runs");
  expect(await waitForSequence(database.db, { stream: "runs", sequence, timeoutMs: 30_000 })).toBe(true);
}

/** What a worker does when the webhook answers 410. */
async function disableAsGone(): Promise<void> {
  const { configVersion, workspaceId } = await disableWebhook(database.db, {
    id,
    reason: "gone",
    actor: "egret auto-disable",
  });
  const outage = {
    consecutiveFailures: 1,
    sinceMs: Date.UTC(2026, 0, 5),
    lastError: "HTTP 410",
    lastHttpStatus: 410,
  };
  await moveEndpoint(log, {
    aggregate: { kind: "endpoint", workspaceId, targetKind: "webhook", targetId: id },
    actor: null,
    fact: { type: "target.disabled", configVersion },
    telling: { outage, nowMs: Date.now(), policy: ENDPOINT_POLICY, reason: "gone" },
  });
}

describe("egret endpoints and egret webhook", { concurrent: false }, () => {
  test("every target is healthy until something is known against it", async () => {
    expect((await egret("apply", "-f", file, "--yes")).code).toBe(0);
    const { rows } = await database.pool.query<{ id: number }>(
      "select id from egret.webhooks where name = 'pager'",
    );
    id = rows[0]!.id;
    const { code, stdout } = await egret("endpoints");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^target +name +state +since/);
    expect(stdout).toMatch(/webhook \d+ +pager +healthy/);
  });

  test("a webhook that was disabled stands first, with the reason, also as JSON", async () => {
    await disableAsGone();
    await projected();
    const { stdout } = await egret("endpoints", "--workspace", "demo");
    expect(stdout.split("\n")[1]).toMatch(
      /pager +disabled \(gone\) +2026-01-05 00:00:00Z +1 +1 +- +HTTP 410$/,
    );
    const lines = (await egret("endpoints", "--json")).stdout.trim().split("\n");
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { name: "pager", state: "disabled", reason: "gone", last_http_status: 410 },
      { name: "spare", state: "healthy", reason: null, outages: 0 },
    ]);
  });

  test("applying the unchanged file leaves it so, and says how to switch it on", async () => {
    const { code, stdout } = await egret("apply", "-f", file, "--yes");
    expect(code).toBe(0);
    expect(stdout).toContain("Nothing to do: 3 unchanged.");
    expect(stdout).toMatch(
      /! webhook pager was disabled \(gone\) at .+Z and stays so; .*egret webhook enable pager/,
    );
    const json = JSON.parse((await egret("apply", "-f", file, "--dry-run", "--json")).stdout) as object;
    expect(json).toMatchObject({ stays_disabled: [{ name: "pager", reason: "gone" }] });
  });

  test("enable switches it on and makes its endpoint healthy, and says so only once", async () => {
    const { code, stdout } = await egret("webhook", "enable", "pager");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Webhook pager is enabled; it was disabled \(gone\) since /);
    await projected();
    expect((await egret("endpoints")).stdout).toMatch(/pager +healthy/);
    expect((await egret("webhook", "enable", "pager")).stdout).toBe("Webhook pager is enabled already.\n");
    expect((await egret("apply", "-f", file, "--dry-run")).stdout).not.toContain("stays so");
  });

  test("disable holds against the file too", async () => {
    const { stdout } = await egret("webhook", "disable", String(id), "--json");
    expect(JSON.parse(stdout)).toEqual({ webhook: "pager", enabled: false, changed: true });
    expect((await egret("webhook", "disable", "pager")).stdout).toBe("Webhook pager is disabled already.\n");
    expect((await egret("apply", "-f", file, "--yes")).stdout).toContain("disabled (operator)");
    await egret("webhook", "enable", "pager");
  });

  test("enabling what the file disables says that the file has to change too", async () => {
    await writeFile(file, yaml(", enabled: false"));
    await egret("apply", "-f", file, "--yes");
    expect((await egret("webhook", "enable", "pager")).stdout).toContain("Set `enabled` in egret.yaml too");
  });

  test.each([
    ["a webhook that is not there", ["webhook", "enable", "pagr"], /no webhook "pagr".*Did you mean "pager"/],
    ["a workspace that is not there", ["endpoints", "--workspace", "x"], /no workspace "x"/],
    ["no webhook", ["webhook", "disable"], /missing required argument 'webhook'/],
  ])("ends with 2 and the nearest name for %s", async (_what, args, message) => {
    const { code, stderr } = await egret(...args);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  test("enable ends with 3 and changes nothing when the log cannot be reached", async () => {
    await disableWebhook(database.db, { id, reason: "operator", actor: "test" });
    const away = { ...installation, EGRET_NATS_URL: "nats://127.0.0.1:1" };
    expect((await runCli(["webhook", "enable", "pager"], away)).code).toBe(3);
    const { rows } = await database.pool.query("select enabled from egret.webhooks where id = $1", [id]);
    expect(rows).toEqual([{ enabled: false }]);
  });
});
