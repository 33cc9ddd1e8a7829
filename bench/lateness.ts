/** How late a retry is when a thousand of them are due at once. */

import { follow } from "../src/log/follow.ts";
import { Releases } from "../src/releases.ts";
import type { BenchContext } from "./context.ts";
import { createPending } from "./deliveries.ts";
import { AT_WORK, openBenchEgret, webhooksYaml } from "./egret.ts";
import { type Feed, openFeed, paced } from "./feed.ts";
import { type Measurement, measured } from "./measurement.ts";
import { percentile } from "./median.ts";
import { type Arrival, startSink } from "./sink.ts";

const COUNT = 1_000;
const QUICK_COUNT = 250;
/**
 * First attempts come in groups, so that none of them waits long: each group's delay then ends at the same moment. A
 * group shares its delay, as all deliveries share the real schedule.
 */
const GROUP = 25;
const GROUPS_PER_SECOND = 10;
/** Delay of the last one, ms; the earlier ones wait as much longer as they came before. */
const LAST_DELAY_MS = 3_000;
const WEBHOOKS = 20;
const PATIENCE_MS = 30_000;
const P99_LIMIT_MS = 500;

/** Every first attempt is answered with 503; all retries are due within milliseconds of each other. */
export async function benchLateness({ servers, isQuick }: BenchContext): Promise<Measurement[]> {
  const count = isQuick ? QUICK_COUNT : COUNT;
  const releases = new Releases();
  try {
    const sink = await startSink();
    releases.push(() => sink.close());
    const paths = Array.from({ length: WEBHOOKS }, () => "/fail");
    const egret = await openBenchEgret(servers, webhooksYaml(sink.url, paths));
    const egretProcess = await egret.openProcess();
    releases.push(() => egretProcess.close());
    await egretProcess.start(AT_WORK);
    const feed = await openFeed(egret);
    releases.push(() => feed.close());
    const secrets = egret.webhooks.map(({ id, secret }): [string, string] => [String(id), secret]);
    await sink.watch({ secrets, isRecording: true });
    const begin = async (name: string, size: number) => {
      const seconds = size / GROUP / GROUPS_PER_SECOND;
      const dueAt = Date.now() + seconds * 1000 + LAST_DELAY_MS;
      await paced({ perSecond: GROUPS_PER_SECOND, seconds }, (group) => {
        const retryDelaysMs = [dueAt - Date.now()];
        const indexes = Array.from({ length: GROUP }, (_, place) => group * GROUP + place);
        return Promise.all(
          indexes.map((index) => {
            const webhookId = egret.webhooks[index % WEBHOOKS]?.id ?? 0;
            return feed.append(createPending({ deliveryId: `${name}-${index}`, webhookId, retryDelaysMs }));
          }),
        );
      });
    };
    await begin("warm", count);
    await sink.until(count, PATIENCE_MS);
    await sink.watch({ isRecording: true });
    await begin("late", count);
    await sink.until(count, PATIENCE_MS);
    return lines(await sink.arrivals(), await dueTimes(feed, count));
  } finally {
    await releases.release();
  }
}

/** When each delivery's retry is due by the log, wall clock ms. */
async function dueTimes({ connection }: Feed, count: number): Promise<Map<string, number>> {
  const due = new Map<string, number>();
  const signal = AbortSignal.timeout(PATIENCE_MS);
  for await (const batch of follow(connection, "deliveries", { fromSequence: 1, maxBatch: 1_000, signal })) {
    for (const { event } of batch) {
      if (event.type !== "delivery.retrying" || !event.data.delivery_id.startsWith("late-")) continue;
      due.set(event.data.delivery_id, Date.parse(event.data.due_at));
    }
    if (due.size === count) return due;
  }
  throw new Error(`the log has ${due.size} of ${count} retries`);
}

function lines(arrivals: Arrival[], due: ReadonlyMap<string, number>): Measurement[] {
  const retries = arrivals.filter(({ status }) => status === 200);
  const lateMs = retries.map(({ deliveryId, wallMs }) => wallMs - (due.get(deliveryId) ?? Number.NaN));
  const early = lateMs.filter((ms) => !(ms >= 0)).length;
  const dueAt = [...due.values()];
  const spreadMs = percentile(dueAt, 0.99) - percentile(dueAt, 0.01);
  const line = measured({
    name: "lateness",
    value: percentile(lateMs, 0.99),
    unit: "ms",
    kind: "cost",
    reference: P99_LIMIT_MS,
    bar: 1,
    against:
      `a limit; p99 of ${due.size} retries due within ${spreadMs} ms, ` +
      `p50 ${percentile(lateMs, 0.5).toFixed(0)} ms, ${early} early (none may be)`,
  });
  return [{ ...line, pass: line.pass === true && early === 0 }];
}
