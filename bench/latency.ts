/** How long it takes from an event's append to the first byte at the receiver, while events come at a steady pace. */
import { Releases } from "../src/releases.ts";
import { nowMs } from "./clock.ts";
import type { BenchContext } from "./context.ts";
import { createPending, createStarted } from "./deliveries.ts";
import { AT_WORK, openBenchEgret, webhooksYaml } from "./egret.ts";
import { type Feed, openFeed, type Pacing, paced } from "./feed.ts";
import { type Measurement, measured } from "./measurement.ts";
import { percentile } from "./median.ts";
import { type Arrival, type Sink, startSink } from "./sink.ts";

const RATES = [50, 200];
const SECONDS = 10;
const QUICK_SECONDS = 3;
const WARM_UP: Pacing = { perSecond: 200, seconds: 2 };
const PATIENCE_MS = 30_000;
const P50_LIMIT_MS = 5;
const P95_LIMIT_MS = 15;

/** What is appended, and by which id its request is known again. */
interface Source {
  append(feed: Feed, number: number): Promise<string>;
  idOf(arrival: Arrival): string;
}

/** From the append of `sync.started` through notifier and worker; beside it from the append of `delivery.pending`. */
export async function benchLatency({ servers, isQuick }: BenchContext): Promise<Measurement[]> {
  const seconds = isQuick ? QUICK_SECONDS : SECONDS;
  const releases = new Releases();
  try {
    const sink = await startSink();
    releases.push(() => sink.close());
    const egret = await openBenchEgret(servers, webhooksYaml(sink.url, ["/hook"]));
    const [webhook = { id: 0, secret: "" }] = egret.webhooks;
    await sink.watch({ secrets: [[String(webhook.id), webhook.secret]] });
    const egretProcess = await egret.openProcess();
    releases.push(() => egretProcess.close());
    await egretProcess.start(AT_WORK);
    const feed = await openFeed(egret);
    releases.push(() => feed.close());
    const meter = new Meter(feed, sink);
    const sources = sourcesTo(webhook.id);
    await meter.measure(sources.event, WARM_UP);
    const lines: Measurement[] = [];
    for (const perSecond of RATES) {
      const fromEvent = await meter.measure(sources.event, { perSecond, seconds });
      const fromPending = await meter.measure(sources.pending, { perSecond, seconds: seconds / 2 });
      lines.push(...linesOf(perSecond, fromEvent, fromPending));
    }
    return lines;
  } finally {
    await releases.release();
  }
}

function sourcesTo(webhookId: number): Record<"event" | "pending", Source> {
  return {
    event: {
      append: (feed, number) => feed.append(createStarted(number)),
      idOf: ({ eventId }) => eventId,
    },
    pending: {
      async append(feed, number) {
        const deliveryId = `latency-${number}`;
        await feed.append(createPending({ deliveryId, webhookId }));
        return deliveryId;
      },
      idOf: ({ deliveryId }) => deliveryId,
    },
  };
}

/** Appends at a pace, and finds each request again at the sink. */
class Meter {
  readonly #feed: Feed;
  readonly #sink: Sink;
  #number = 0;

  constructor(feed: Feed, sink: Sink) {
    this.#feed = feed;
    this.#sink = sink;
  }

  /** Milliseconds from just before each append to the first bytes of its request. */
  async measure({ append, idOf }: Source, pacing: Pacing): Promise<number[]> {
    await this.#sink.watch({ isRecording: true });
    const appended = new Map<string, number>();
    await paced(pacing, async () => {
      const atMs = nowMs();
      this.#number += 1;
      appended.set(await append(this.#feed, this.#number), atMs);
    });
    await this.#sink.until(appended.size, PATIENCE_MS);
    const arrivals = await this.#sink.arrivals();
    return arrivals.map((arrival) => arrival.atMs - (appended.get(idOf(arrival)) ?? Number.NaN));
  }
}

function linesOf(perSecond: number, fromEvent: number[], fromPending: number[]): Measurement[] {
  const line = (share: number, limit?: number) =>
    measured({
      name: `latency-${perSecond}/p${share * 100}`,
      value: percentile(fromEvent, share),
      unit: "ms",
      kind: "cost",
      ...(limit === undefined ? {} : { reference: limit, bar: 1 }),
      against:
        `${limit === undefined ? "nothing" : "a limit"}: append of sync.started to first byte, ${perSecond}/s; ` +
        `from delivery.pending ${percentile(fromPending, share).toFixed(2)} ms`,
    });
  return [line(0.5, P50_LIMIT_MS), line(0.95, P95_LIMIT_MS), line(0.99)];
}
