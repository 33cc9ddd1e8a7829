/** What the demo does, from an empty folder to two audited runs; every promise on the way is checked. */
import { randomBytes, randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import type { Config } from "../../config.ts";
import { createApiToken } from "../../configuration/apiTokens.ts";
import { WEBHOOK_RETRY_DELAYS_MS } from "../../domain/retryPolicy.ts";
import type { EmbeddedLog } from "../../embedded/embeddedLog.ts";
import type { openLogger } from "../../logger.ts";
import { ROLES, type Services, startEgret } from "../../main.ts";
import { migrateToLatest } from "../../projections/migrate.ts";
import type { Releases } from "../../releases.ts";
import { applyPlan, type ConfiguredIds, planFile, readIds, testChangedDestinations } from "../applyFile.ts";
import { type Audit, auditRun, auditVerdict } from "../auditRun.ts";
import { count, counted } from "../format.ts";
import { planLines, testLines } from "../planOutput.ts";
import { requestRun } from "../requestRun.ts";
import { RunScreen } from "../runScreen.ts";
import { paint, print, type StatusLine } from "../terminal.ts";
import { type RunEnd, watchRun } from "../watchRun.ts";
import { CheckFailed, type MeasuredRetry, must, requireRetries, requireRows } from "./demoChecks.ts";
import { DEMO_BATCH_SIZE, DEMO_NAMES, demoFile } from "./demoFile.ts";
import { openDemoServers } from "./demoServers.ts";
import { waitForLifecycle } from "./lifecycleWait.ts";
import { type RowReceiver, startRowReceiver } from "./rowReceiver.ts";
import { type Subscriber, startSubscriber } from "./subscriber.ts";
import { createWarehouse, editAirports, readAirports } from "./warehouse.ts";

/** What the story is told with. */
export interface Stage {
  config: Config;
  status: StatusLine;
  /** Log of Egret itself. */
  logger: ReturnType<typeof openLogger>;
  /** Says when a server has to be fetched. */
  serverLog: EmbeddedLog;
  releases: Releases;
}

/** A run as the report tells of it. */
export interface ToldRun {
  runId: number;
  end: RunEnd;
  /** Requests with rows that the destination got. */
  batches: number;
  verdict: string;
}

/** What the report is made from. */
export interface DemoResult {
  dir: string;
  address: string | null;
  /** A key of its workspace, for the API. */
  token: string;
  runs: ToldRun[];
  lifecycleDeliveries: number;
  lifecycleAttempts: number;
  retries: MeasuredRetry[];
  logEvents: number;
}

const RUN_TIMEOUT_MS = 30_000;
const FAILURES = 2;

/** The demo's receivers are on this machine. */
const DEMO_OUTBOUND = { allowHttp: true, outboundAllow: [] };

/** Tells the whole story. @throws CheckFailed, or what a service throws. */
export async function tellStory(stage: Stage): Promise<DemoResult> {
  const { releases } = stage;
  heading("Starting a Postgres and a nats-server");
  const opening = openDemoServers(stage.config, stage.serverLog);
  // Before it has opened, so that an interruption does not leave a server behind.
  releases.push(async () => (await opening.catch(() => null))?.close());
  const { dir, services: servers } = await opening;
  const migrations = await migrateToLatest(servers.databaseUrl);
  const warehouseUrl = await createWarehouse(servers.databaseUrl);
  const airports = await readAirports(warehouseUrl);
  print(
    `  ${counted(migrations.length, "migration")} run; table public.airports has ${counted(airports.length, "row")}`,
  );

  const egret = await startEgret({
    databaseUrl: servers.databaseUrl,
    natsUrl: servers.natsUrl,
    secretKeys: [servers.secretKey],
    streamPrefix: stage.config.streamPrefix,
    limits: { maxBytes: 256 * 1_048_576, deliveryRetentionDays: 1, replicas: 1 },
    roles: ROLES,
    http: { host: "127.0.0.1", port: 0 },
    concurrency: 100,
    ...DEMO_OUTBOUND,
    logger: stage.logger,
  });
  releases.push(() => egret.close());
  const world = await openWorld(stage, { services: egret.services, dir, warehouseUrl });

  heading("First sync: every row is new");
  const first = await runSync(stage, world, "the first sync of the demo");
  requireRows(world.rows.takeRecords(), airports);
  checkRun(first, { rows: airports.length, sent: airports.length });
  good(
    `all ${counted(airports.length, "row")} arrived, each once, with the values of the table, every request signed`,
  );

  heading("Some rows change, one is deleted");
  const { edited, deleted } = await editAirports(warehouseUrl);
  const changed = (await readAirports(warehouseUrl)).filter(({ iata }) => edited.includes(iata));
  print(`  renamed ${edited.join(", ")}; deleted ${deleted}`);

  heading("Second sync: only what changed");
  const second = await runSync(stage, world, "the second sync of the demo");
  requireRows(world.rows.takeRecords(), changed);
  checkRun(second, { rows: airports.length - 1, sent: changed.length });
  good(
    `exactly the ${counted(changed.length, "changed row")} arrived (an upsert leaves deleted rows in place)`,
  );
  must(
    world.rows.badSignatures === 0,
    `${count(world.rows.badSignatures)} requests to the destination had a wrong signature`,
  );
  must(world.rows.repeated === 0, `${count(world.rows.repeated)} batches came more than once`);

  heading("Retries of the subscriber that answered 500 twice");
  return conclude(stage, world, { dir, address: egret.url, runs: [first, second] });
}

/** What the runs of the demo take place in. */
interface World {
  services: Services;
  ids: ConfiguredIds;
  rows: RowReceiver;
  feed: Subscriber;
  pager: Subscriber;
}

interface Run {
  runId: number;
  syncId: number;
  end: RunEnd;
  batches: number;
}

async function openWorld(
  { status, releases }: Stage,
  { services, dir, warehouseUrl }: { services: Services; dir: string; warehouseUrl: string },
): Promise<World> {
  heading("Applying a configuration, as egret apply does");
  const signingSecret = randomBytes(24).toString("base64url");
  const rows = await startRowReceiver(signingSecret);
  releases.push(rows.close);
  const show = { delaysMs: WEBHOOK_RETRY_DELAYS_MS, print: (line: string) => status.print(line) };
  const feed = await startSubscriber({ name: DEMO_NAMES.feed, failures: 0, ...show });
  releases.push(feed.close);
  const pager = await startSubscriber({ name: DEMO_NAMES.pager, failures: FAILURES, ...show });
  releases.push(pager.close);
  const file = path.join(dir, "egret.yaml");
  const addresses = {
    warehouseUrl,
    destinationUrl: rows.url,
    signingSecret,
    feedUrl: feed.url,
    pagerUrl: pager.url,
  };
  await writeFile(file, demoFile(addresses), { mode: 0o600 });
  const desk = { db: services.database.db, box: services.box };
  // The receivers listen on this machine, which a production configuration may not name.
  const { plan } = await planFile(desk, file, { env: {}, ...DEMO_OUTBOUND });
  for (const line of planLines(plan.changes)) print(`  ${line}`);
  const { webhookSecrets } = await applyPlan(desk, plan);
  for (const { name, secret } of webhookSecrets)
    [feed, pager].find((one) => one.name === name)?.useSecret(secret);
  const tested = await testChangedDestinations(desk, plan, DEMO_OUTBOUND);
  for (const line of testLines(tested)) print(`  ${line}`);
  must(
    tested.every(({ ok }) => ok),
    "the destination answers its connection test",
  );
  const ids = await readIds(desk.db, plan.workspace);
  if (ids === null) throw new CheckFailed("the workspace is configured");
  return { services, ids, rows, feed, pager };
}

async function runSync({ status }: Stage, { services, ids, rows }: World, reason: string): Promise<Run> {
  const { connection, database } = services;
  const syncId = ids.syncs[0]?.id ?? 0;
  const batchesBefore = rows.batches;
  const request = { workspaceId: ids.workspaceId, syncId, isFull: false, id: randomUUID(), reason };
  const answer = await requestRun(services, database.db, { ...request, timeoutMs: RUN_TIMEOUT_MS });
  if (answer.kind === "refused") throw new CheckFailed(`the run is accepted (${answer.refusal.message})`);
  if (answer.kind === "silent") throw new CheckFailed("the command is taken up in time");
  const screen = new RunScreen(status);
  const end = await watchRun({
    connection,
    run: answer.run,
    fromSequence: answer.sequence,
    startTimeoutMs: RUN_TIMEOUT_MS,
    onEvent: (event) => screen.onEvent(event),
    onProgress: (progress) => screen.onProgress(progress),
  });
  const { error_code, error_message } = end.completed;
  must(end.outcome === "success", `run ${answer.run.runId} ends well (${error_code}: ${error_message})`);
  return { runId: answer.run.runId, syncId, end, batches: rows.batches - batchesBefore };
}

function checkRun({ runId, end, batches }: Run, wanted: { rows: number; sent: number }): void {
  const { source_record_count, records_updated, records_failed } = end.completed;
  must(
    source_record_count === wanted.rows,
    `run ${runId} read ${count(wanted.rows)} rows, not ${count(source_record_count)}`,
  );
  must(
    records_updated === wanted.sent,
    `run ${runId} counts ${count(wanted.sent)} rows accepted, not ${count(records_updated)}`,
  );
  must(records_failed === 0, `run ${runId} has no rejected rows`);
  must(batches === Math.ceil(wanted.sent / DEMO_BATCH_SIZE), `run ${runId} sends full batches`);
}

async function conclude(
  { status }: Stage,
  { services, ids, feed, pager }: World,
  { dir, address, runs }: { dir: string; address: string | null; runs: Run[] },
): Promise<DemoResult> {
  // Four lifecycle events a run for the feed; the pager asked for two of them.
  const expected = runs.length * (4 + 2);
  const ended = await waitForLifecycle(services.connection, { expected, status, timeoutMs: 60_000 });
  must(ended.dead === 0, `no lifecycle delivery is given up; ${count(ended.dead)} were`);
  const attempts = [...feed.attempts, ...pager.attempts];
  must(
    attempts.every(({ isSigned }) => isSigned),
    "both signatures of every lifecycle webhook are valid",
  );
  const retries = requireRetries(attempts, WEBHOOK_RETRY_DELAYS_MS);
  must(retries.length === FAILURES, `the subscriber that failed ${FAILURES} times is tried again as often`);
  good(`${counted(ended.delivered, "lifecycle webhook")} delivered, every signature valid, no retry early`);

  heading("Auditing both runs, from the log alone");
  const told: ToldRun[] = [];
  for (const run of runs) {
    const aggregate = {
      kind: "run",
      workspaceId: ids.workspaceId,
      syncId: run.syncId,
      runId: run.runId,
    } as const;
    const audit: Audit = await auditRun(services, aggregate);
    const verdict = auditVerdict(audit);
    must(
      audit.problems.length === 0,
      `the history of run ${run.runId} is intact (${audit.problems.join("; ")})`,
    );
    must(verdict.startsWith("complete"), `the history of run ${run.runId} is complete (${verdict})`);
    good(`run ${run.runId} is ${verdict}`);
    told.push({ runId: run.runId, end: run.end, batches: run.batches, verdict });
  }
  const infos = await Promise.all([services.log.info("runs"), services.log.info("deliveries")]);
  const wanted = {
    workspaceId: ids.workspaceId,
    name: "demo",
    scopes: ["admin"],
    actor: "egret demo",
  } as const;
  const { token } = await createApiToken(services.database.db, wanted);
  return {
    dir,
    address,
    token,
    runs: told,
    lifecycleDeliveries: ended.delivered,
    lifecycleAttempts: attempts.length,
    retries,
    logEvents: infos.reduce((sum, { lastSequence }) => sum + lastSequence, 0),
  };
}

function heading(text: string): void {
  print(`\n${paint("bold", text)}`);
}

function good(text: string): void {
  print(`  ${paint("green", "✓")} ${text}`);
}
