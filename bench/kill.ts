/** What a killed worker costs: how soon the other one has done its work, and how many requests come twice. */
import { Releases } from "../src/releases.ts";
import { nowMs } from "./clock.ts";
import type { BenchContext } from "./context.ts";
import { openBenchEgret, WORKER_CONCURRENCY, webhooksYaml } from "./egret.ts";
import { openFeed } from "./feed.ts";
import { type Measurement, measured } from "./measurement.ts";
import { startSink } from "./sink.ts";

const COUNT = 3_000;
const QUICK_COUNT = 1_000;
const KILLED_AT = 0.4;
/** The receiver takes 20 ms, so that the killed worker has requests under way. */
const WEBHOOKS = 40;
const PATIENCE_MS = 150_000;
const LIMIT_S = 15;

/** One of two workers is killed with -9 when 40 % are accepted; the clock runs from there until all are. */
export async function benchKill({ servers, isQuick }: BenchContext): Promise<Measurement[]> {
  const count = isQuick ? QUICK_COUNT : COUNT;
  const releases = new Releases();
  try {
    const sink = await startSink();
    releases.push(() => sink.close());
    const paths = Array.from({ length: WEBHOOKS }, () => "/slow");
    const egret = await openBenchEgret(servers, webhooksYaml(sink.url, paths));
    const survivor = await egret.openProcess();
    releases.push(() => survivor.close());
    const victim = await egret.openProcess();
    releases.push(() => victim.close());
    await survivor.start(["worker", "projector", "scheduler"]);
    await victim.start(["worker"]);
    const feed = await openFeed(egret);
    releases.push(() => feed.close());
    const deliver = (name: string, size: number) =>
      feed.appendAll(size, (index) => ({
        deliveryId: `${name}-${index}`,
        webhookId: egret.webhooks[index % WEBHOOKS]?.id ?? 0,
      }));
    await sink.watch({ secrets: egret.webhooks.map(({ id, secret }) => [String(id), secret]) });
    await deliver("warm", count / 4);
    await sink.until(count / 4, PATIENCE_MS);
    await sink.watch();
    const appended = deliver("kill", count);
    await sink.until(count * KILLED_AT, PATIENCE_MS);
    const killedAt = nowMs();
    await victim.kill();
    await appended;
    const seconds = ((await sink.until(count, PATIENCE_MS)) - killedAt) / 1000;
    const { requests, distinct, badSignatures } = await sink.report();
    if (badSignatures > 0) throw new Error(`${badSignatures} signatures were wrong`);
    return [
      measured({
        name: "kill",
        value: seconds,
        unit: "s",
        kind: "cost",
        reference: LIMIT_S,
        bar: 1,
        against: `a limit; from kill -9 of one of two workers at 40 % of ${count} until all are accepted`,
      }),
      measured({
        name: "kill-duplicates",
        value: requests - distinct,
        unit: "requests",
        kind: "cost",
        reference: WORKER_CONCURRENCY,
        bar: 1,
        against: "a limit: what the killed worker may have had under way",
      }),
    ];
  } finally {
    await releases.release();
  }
}
