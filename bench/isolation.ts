/** What one target that hangs for ever costs the others. */
import { Releases } from "../src/releases.ts";
import { nowMs } from "./clock.ts";
import type { BenchContext } from "./context.ts";
import { createPending } from "./deliveries.ts";
import { AT_WORK, type BenchEgret, openBenchEgret, webhooksYaml } from "./egret.ts";
import { type Feed, openFeed, type Pacing, paced } from "./feed.ts";
import { type Measurement, measured } from "./measurement.ts";
import { percentile } from "./median.ts";
import { type Sink, startSink } from "./sink.ts";

const HEALTHY = 49;
/** To the healthy ones together; the hanging one gets as much again. */
const PER_SECOND = 200;
/** Longer than a request may hang, so that its time-outs and first retries are in it. */
const SECONDS = 15;
const QUICK_SECONDS = 5;
const WARM_UP: Pacing = { perSecond: PER_SECOND, seconds: 2 };
const PATIENCE_MS = 60_000;

/** p99 from append to first byte of the 49 others, with and without a 50th target that hangs. */
export async function benchIsolation({ servers, isQuick }: BenchContext): Promise<Measurement[]> {
  const pacing = { perSecond: PER_SECOND, seconds: isQuick ? QUICK_SECONDS : SECONDS };
  const releases = new Releases();
  try {
    const sink = await startSink();
    releases.push(() => sink.close());
    const paths = [...Array.from({ length: HEALTHY }, () => "/hook"), "/hang"];
    const egret = await openBenchEgret(servers, webhooksYaml(sink.url, paths));
    await sink.watch({ secrets: egret.webhooks.map(({ id, secret }) => [String(id), secret]) });
    const egretProcess = await egret.openProcess();
    // What hangs at the end would keep an orderly close waiting for its time-out.
    releases.push(() => egretProcess.kill());
    await egretProcess.start(AT_WORK);
    const feed = await openFeed(egret);
    releases.push(() => feed.close());
    const load = { egret, feed, sink };
    await latencies(load, { name: "warm", pacing: WARM_UP, hangs: false });
    const without = await latencies(load, { name: "without", pacing, hangs: false });
    const beside = await latencies(load, { name: "with", pacing, hangs: true });
    return [
      measured({
        name: "isolation",
        value: percentile(beside, 0.99),
        unit: "ms",
        kind: "cost",
        reference: percentile(without, 0.99),
        bar: 0.5,
        against:
          `without it: p99 of ${HEALTHY} targets beside one that hangs and gets half of ${2 * PER_SECOND}/s; ` +
          `p50 ${percentile(beside, 0.5).toFixed(2)} against ${percentile(without, 0.5).toFixed(2)} ms`,
      }),
    ];
  } finally {
    await releases.release();
  }
}

interface Run {
  name: string;
  pacing: Pacing;
  /** Whether the hanging target gets its half. */
  hangs: boolean;
}

/** Milliseconds from append to first byte of every delivery to a healthy target. */
async function latencies(
  { egret, feed, sink }: { egret: BenchEgret; feed: Feed; sink: Sink },
  { name, pacing, hangs }: Run,
): Promise<number[]> {
  await sink.watch({ isRecording: true });
  const appended = new Map<string, number>();
  await paced(pacing, async (index) => {
    const deliveryId = `${name}-${index}`;
    appended.set(deliveryId, nowMs());
    const place = { deliveryId, webhookId: egret.webhooks[index % HEALTHY]?.id ?? 0 };
    const hanging = { deliveryId: `${name}-hang-${index}`, webhookId: egret.webhooks[HEALTHY]?.id ?? 0 };
    await Promise.all([
      feed.append(createPending(place)),
      hangs ? feed.append(createPending(hanging)) : undefined,
    ]);
  });
  await sink.until(appended.size, PATIENCE_MS);
  const arrivals = await sink.arrivals();
  return arrivals
    .filter(({ status }) => status === 200)
    .map(({ deliveryId, atMs }) => atMs - (appended.get(deliveryId) ?? Number.NaN));
}
