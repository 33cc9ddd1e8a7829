/** What a million deliveries that wait for a dead target cost the others. */

import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { Releases } from "../src/releases.ts";
import { nowMs } from "./clock.ts";
import type { BenchContext } from "./context.ts";
import { AT_WORK, type BenchEgret, openBenchEgret, webhooksYaml } from "./egret.ts";
import { type Feed, openFeed } from "./feed.ts";
import { flood } from "./flood.ts";
import { type Measurement, measured } from "./measurement.ts";
import { median } from "./median.ts";
import { withPeakMemory } from "./memory.ts";
import { expectAtSink, type Sink, startSink } from "./sink.ts";

const BACKLOG = 1_000_000;
const QUICK_BACKLOG = 100_000;
const HEALTHY = 40;
const COUNT = 5_000;
const QUICK_COUNT = 2_000;
const ROUNDS = 3;
const PATIENCE_MS = 1_800_000;
const LEAST_SHARE = 0.8;
const MEMORY_LIMIT_MB = 100;

/** Rate to healthy targets and memory of our process, before and while the backlog of a dead target waits. */
export async function benchBacklog(context: BenchContext): Promise<Measurement[]> {
  const { servers, isQuick } = context;
  const backlog = isQuick ? QUICK_BACKLOG : BACKLOG;
  const count = isQuick ? QUICK_COUNT : COUNT;
  const releases = new Releases();
  try {
    const sink = await startSink();
    releases.push(() => sink.close());
    const healthy = Array.from({ length: HEALTHY }, () => `${sink.url}/hook`);
    const egret = await openBenchEgret(servers, webhooksYaml("", [...healthy, await deadEndpoint()]));
    await sink.watch({ secrets: egret.webhooks.map(({ id, secret }) => [String(id), secret]) });
    const egretProcess = await egret.openProcess();
    releases.push(() => egretProcess.kill());
    await egretProcess.start(AT_WORK);
    const feed = await openFeed(egret);
    releases.push(() => feed.close());
    const load = { egret, feed, sink };
    await rateToHealthy(load, "warm", count);
    const before = await withPeakMemory(egretProcess.pid, () => ratesToHealthy(load, "before", count));
    const beside = await withPeakMemory(egretProcess.pid, async () => {
      const metAfterS = await appendBacklog(load, backlog);
      return { metAfterS, rate: await ratesToHealthy(load, "beside", count) };
    });
    const waiting = `${await feed.countIn("pending", "dead-")} pending, ${await feed.countIn("retrying", "dead-")} retrying`;
    return [
      measured({
        name: "backlog",
        value: beside.result.rate,
        unit: "deliveries/s",
        kind: "rate",
        reference: before.result,
        bar: LEAST_SHARE,
        against: `without it: to ${HEALTHY} healthy targets while ${backlog} wait for a dead one (${waiting})`,
      }),
      measured({
        name: "backlog-memory",
        value: Math.max(0, beside.peakBytes - before.peakBytes) / 1e6,
        unit: "MB",
        kind: "cost",
        reference: MEMORY_LIMIT_MB,
        bar: 1,
        against: `a limit: most memory of our process beyond the ${(before.peakBytes / 1e6).toFixed(0)} MB it had without`,
      }),
      measured({
        name: "backlog-met",
        value: beside.result.metAfterS,
        unit: "s",
        kind: "cost",
        against: "nothing: how long a healthy delivery takes that was appended right behind the backlog",
      }),
    ];
  } finally {
    await releases.release();
  }
}

interface Load {
  egret: BenchEgret;
  feed: Feed;
  sink: Sink;
}

/** An address on which nobody listens any more. */
async function deadEndpoint(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}/dead`;
}

/**
 * Appends the backlog to the dead target and one delivery to a healthy one behind it. Resolves to the seconds which that
 * one took, when it has arrived and all is projected: by then the workers have met all of the backlog.
 */
async function appendBacklog({ egret, feed, sink }: Load, backlog: number): Promise<number> {
  await sink.watch();
  const dead = egret.webhooks[HEALTHY]?.id ?? 0;
  await flood(feed.connection, {
    count: backlog,
    place: (index) => ({ deliveryId: `dead-${index}`, webhookId: dead }),
  });
  const appendedAt = nowMs();
  await feed.appendAll(1, () => ({ deliveryId: "behind-0", webhookId: egret.webhooks[0]?.id ?? 0 }));
  const arrivedAt = await sink.until(1, PATIENCE_MS);
  await feed.projected(await feed.lastSequence(), PATIENCE_MS);
  return (arrivedAt - appendedAt) / 1000;
}

async function ratesToHealthy(load: Load, name: string, count: number): Promise<number> {
  const rates: number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    rates.push(await rateToHealthy(load, `${name}${round}`, count));
  }
  return median(rates);
}

/** Deliveries per second, from the first append until the last is accepted. */
async function rateToHealthy({ egret, feed, sink }: Load, name: string, count: number): Promise<number> {
  await sink.watch();
  const started = nowMs();
  await feed.appendAll(count, (index) => ({
    deliveryId: `${name}-${index}`,
    webhookId: egret.webhooks[index % HEALTHY]?.id ?? 0,
  }));
  const ms = (await sink.until(count, PATIENCE_MS)) - started;
  await expectAtSink(sink, count);
  return (count / ms) * 1000;
}
