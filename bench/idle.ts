/** What a process costs that has nothing to do. */
import { Releases } from "../src/releases.ts";
import type { BenchContext } from "./context.ts";
import { cpuBetween, readCpu } from "./cpu.ts";
import { openBenchEgret, webhooksYaml } from "./egret.ts";
import { openFeed } from "./feed.ts";
import { type Measurement, measured } from "./measurement.ts";
import { startSink } from "./sink.ts";

const SECONDS = 20;
const QUICK_SECONDS = 8;
/** It had work for some targets before, as a process in production has. */
const WEBHOOKS = 40;
const SETTLE_MS = 3_000;
const PATIENCE_MS = 30_000;
const LIMIT_PERCENT = 1;

/** Percent of a core that a process with all roles uses, once it has delivered to 40 webhooks and been left alone. */
export async function benchIdle({ servers, isQuick }: BenchContext): Promise<Measurement[]> {
  const seconds = isQuick ? QUICK_SECONDS : SECONDS;
  const releases = new Releases();
  try {
    const sink = await startSink();
    releases.push(() => sink.close());
    const paths = Array.from({ length: WEBHOOKS }, () => "/hook");
    const egret = await openBenchEgret(servers, webhooksYaml(sink.url, paths));
    const egretProcess = await egret.openProcess();
    releases.push(() => egretProcess.close());
    await egretProcess.start(["api", "worker", "projector", "scheduler"]);
    const feed = await openFeed(egret);
    releases.push(() => feed.close());
    await feed.appendAll(WEBHOOKS, (index) => ({
      deliveryId: `idle-${index}`,
      webhookId: egret.webhooks[index]?.id ?? 0,
    }));
    await sink.until(WEBHOOKS, PATIENCE_MS);
    await pause(SETTLE_MS);
    const watched = { egret: egretProcess.pid, ...servers.pids };
    const before = await readCpu(watched);
    await pause(seconds * 1000);
    const used = cpuBetween(before, await readCpu(watched));
    const percent = (name: string) => (used[name] ?? Number.NaN) / (seconds * 10);
    return [
      measured({
        name: "idle",
        value: percent("egret"),
        unit: "% of a core",
        kind: "cost",
        reference: LIMIT_PERCENT,
        bar: 1,
        against:
          `a limit; all roles, ${WEBHOOKS} webhooks, over ${seconds} s; ` +
          `beside it nats-server ${percent("nats-server").toFixed(2)}, Postgres ${percent("Postgres").toFixed(2)} %`,
      }),
    ];
  } finally {
    await releases.release();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
