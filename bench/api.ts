/** How many requests a second the management API answers, and how soon, against a bare route of the same server. */
import { setTimeout as delay } from "node:timers/promises";
import autocannon from "autocannon";
import { createApiToken } from "../src/configuration/apiTokens.ts";
import { openDatabase } from "../src/projections/database.ts";
import { Releases } from "../src/releases.ts";
import { startChild } from "./childMessages.ts";
import type { BenchContext } from "./context.ts";
import { AT_WORK, type BenchEgret, openBenchEgret } from "./egret.ts";
import { type Measurement, measured } from "./measurement.ts";
import { median } from "./median.ts";
import { startSink } from "./sink.ts";
import { openWarehouse } from "./warehouse.ts";

/** Syncs that are triggered in turn: the first trigger of each makes a run, the others are told of it while it waits for a worker. */
const SYNCS = 20;
const ROWS = 100;
const CONNECTIONS = 50;
const SECONDS = 5;
const QUICK_SECONDS = 1;
const ROUNDS = 3;
const POLL_MS = 50;
/** Share of the bare route's requests a second that the trigger has to reach. */
const TRIGGER_BAR = 0.25;

interface Load {
  perSecond: number;
  p50: number;
  p99: number;
}

/** One process has the API, another projects. Nobody works on runs meanwhile: that would measure who gets the processors. */
export async function benchApi({ servers, isQuick }: BenchContext): Promise<Measurement[]> {
  const releases = new Releases();
  try {
    const sourceUrl = await servers.createDatabase();
    const warehouse = await openWarehouse(sourceUrl, "items");
    releases.push(() => warehouse.close());
    await warehouse.growTo(ROWS);
    const sink = await startSink();
    releases.push(() => sink.close());
    const egret = await openBenchEgret(servers, yaml(sourceUrl, sink.url));
    const worker = await egret.openProcess();
    releases.push(() => worker.close());
    await worker.start(AT_WORK);
    const front = await egret.openProcess({ apiRequestsPerSecond: 0 });
    releases.push(() => front.close());
    const url = await front.start(["api"]);
    const bare = await startChild("bareApiChild.ts");
    releases.push(() => bare.close());
    const { url: bareUrl } = await bare.ask<{ url: string }>({});
    const authorization = `Bearer ${await newToken(egret)}`;
    const syncIds = [...egret.syncs.values()].map(({ id }) => id);
    const runId = await firstRun(url, { authorization, syncId: syncIds[0] ?? 0 });
    await worker.stop();
    await worker.start(["projector"]);
    const triggers = syncIds.map((id) => ({ method: "POST" as const, path: `/api/v1/syncs/${id}/trigger` }));
    const contenders = {
      bare: { url: bareUrl, requests: triggers },
      trigger: { url, requests: triggers },
      run: { url, requests: [{ method: "GET" as const, path: `/api/v1/sync_runs/${runId}` }] },
    };
    const loads: Record<keyof typeof contenders, Load[]> = { bare: [], trigger: [], run: [] };
    for (let round = 0; round <= (isQuick ? 1 : ROUNDS); round += 1) {
      for (const name of Object.keys(contenders) as (keyof typeof contenders)[]) {
        const load = await loaded({
          ...contenders[name],
          authorization,
          seconds: isQuick ? QUICK_SECONDS : SECONDS,
        });
        // The first round warms up.
        if (round > 0) loads[name].push(load);
      }
    }
    return lines(loads);
  } finally {
    await releases.release();
  }
}

function yaml(sourceUrl: string, sinkUrl: string): string {
  const lines = Array.from(
    { length: SYNCS },
    (_, index) => `  s${index}: { source: warehouse, table: public.items, destination: sink, key: id }\n`,
  );
  return `
workspace: bench
sources:
  warehouse: { type: postgres, url: "${sourceUrl}" }
destinations:
  sink: { type: webhook, url: "${sinkUrl}/rows", batch_size: 1000 }
syncs:
${lines.join("")}`;
}

async function newToken({ databaseUrl }: BenchEgret): Promise<string> {
  const database = openDatabase(databaseUrl, { maxConnections: 1 });
  try {
    const { id: workspaceId } = await database.db
      .selectFrom("egret.workspaces")
      .select("id")
      .executeTakeFirstOrThrow();
    const asked = { workspaceId, name: "bench", scopes: ["admin"], actor: "bench" } as const;
    return (await createApiToken(database.db, asked)).token;
  } finally {
    await database.close();
  }
}

/** A run that has ended. */
async function firstRun(
  url: string,
  { authorization, syncId }: { authorization: string; syncId: number },
): Promise<number> {
  const headers = { Authorization: authorization };
  const ask = async <Data>(path: string, method: string): Promise<Data> => {
    const answer = await fetch(`${url}/api/v1${path}`, { method, headers });
    return ((await answer.json()) as { data: Data }).data;
  };
  const { sync_run_id: id } = await ask<{ sync_run_id: number }>(`/syncs/${syncId}/trigger`, "POST");
  for (;;) {
    const { status } = await ask<{ status: string }>(`/sync_runs/${id}`, "GET");
    if (status === "completed") return id;
    if (status !== "working") throw new Error(`the run ended as ${status}`);
    await delay(POLL_MS);
  }
}

async function loaded(asked: {
  url: string;
  requests: { method: "GET" | "POST"; path: string }[];
  authorization: string;
  seconds: number;
}): Promise<Load> {
  const { url, requests, authorization, seconds } = asked;
  const headers = { Authorization: authorization };
  const result = await autocannon({ url, requests, headers, connections: CONNECTIONS, duration: seconds });
  const failed = result.non2xx + result.errors + result.timeouts;
  if (failed > 0) throw new Error(`${failed} of the requests to ${url} failed`);
  const { p50, p99 } = result.latency;
  return { perSecond: result.requests.average, p50, p99 };
}

function lines(loads: Record<"bare" | "trigger" | "run", Load[]>): Measurement[] {
  const middle = (name: keyof typeof loads, value: (load: Load) => number) => median(loads[name].map(value));
  const line = (name: "trigger" | "run", bar: number | null): Measurement => {
    const times = `p50 ${middle(name, ({ p50 }) => p50)} ms, p99 ${middle(name, ({ p99 }) => p99)} ms`;
    return measured({
      name: `api-${name}`,
      value: middle(name, ({ perSecond }) => perSecond),
      unit: "requests/s",
      kind: "rate",
      reference: middle("bare", ({ perSecond }) => perSecond),
      ...(bar === null ? {} : { bar }),
      against: `a bare Hono route; ${times}, of the bare one ${middle("bare", ({ p50 }) => p50)} and ${middle("bare", ({ p99 }) => p99)}`,
    });
  };
  return [line("trigger", TRIGGER_BAR), line("run", null)];
}
