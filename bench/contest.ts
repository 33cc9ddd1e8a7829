/** One who delivers what waits for it: Egret in one process or two, or one of the peers, each measured in the same way. */
import path from "node:path";
import type { Releases } from "../src/releases.ts";
import { startChild } from "./childMessages.ts";
import { nowMs } from "./clock.ts";
import type { BenchContext } from "./context.ts";
import type { Watched } from "./cpu.ts";
import { AT_WORK, type BenchEgret, type EgretProcess, WORKER_CONCURRENCY } from "./egret.ts";
import type { Feed } from "./feed.ts";
import type { Job, PeerName, PeerQuestion, PeerSettings } from "./peers/peer.ts";
import type { BenchServers } from "./servers.ts";
import type { Sink } from "./sink.ts";

/** What is to be delivered: ids begin with `name`, the first `targets` webhooks get the same share each. */
export interface Round {
  name: string;
  count: number;
  targets: number;
}

/** A contender. */
export interface Contender {
  /** Its processes, by what they do. */
  watched: Watched;
  /** Puts the deliveries where they wait for workers that are not there yet. */
  prepare(round: Round): Promise<void>;
  /** Starts the workers; milliseconds until the last delivery is done and recorded. */
  deliver(round: Round): Promise<number>;
  /** Stops the workers. */
  rest(): Promise<void>;
}

/** What contenders share; each pushes its own end. */
export interface Arena {
  egret: BenchEgret;
  feed: Feed;
  sink: Sink;
  releases: Releases;
  /** A process at rest for Egret to work in; not given, it opens one. */
  worker?: EgretProcess;
}

const PATIENCE_MS = 180_000;
/** Our log acknowledges an append before it is flushed, so a peer's commit need not wait for the disk either. */
const SAME_PROMISE = "-c synchronous_commit=off";
const POLL_MS = 20;

/** Egret: its clock stops when the last `delivery.delivered` stands in the read model. */
export async function egretContender(
  { processes, profileDir }: Pick<BenchContext, "processes" | "profileDir">,
  { egret, feed, sink, releases, worker: given }: Arena,
): Promise<Contender> {
  const worker = given ?? (await egret.openProcess());
  if (given === undefined) releases.push(() => worker.close());
  const projector = processes === 2 ? await egret.openProcess() : worker;
  if (projector !== worker) releases.push(() => projector.close());
  const isOne = worker === projector;
  let goal = 0;
  await projector.start(["projector"]);
  const profiled = (round: Round, work: () => Promise<number>) =>
    profileDir === null
      ? work()
      : withProfiles({ worker, projector }, path.join(profileDir, round.name), work);
  return {
    watched: isOne ? { sender: worker.pid } : { sender: worker.pid, projector: projector.pid },
    async prepare(round) {
      await feed.appendAll(round.count, (index) => jobOf(egret, round, index));
      const pending = await feed.lastSequence();
      // One event more each; a retry would make it more, which the count of the delivered finds.
      goal = pending + round.count;
      await feed.projected(pending, PATIENCE_MS);
      if (isOne) await worker.stop();
    },
    deliver: (round) =>
      profiled(round, async () => {
        const started = nowMs();
        await worker.start(isOne ? AT_WORK : ["worker", "scheduler"]);
        await sink.until(round.count, PATIENCE_MS);
        await feed.projected(goal, PATIENCE_MS);
        const ms = nowMs() - started;
        await allDelivered(feed, round);
        return ms;
      }),
    async rest() {
      await worker.stop();
      if (isOne) await worker.start(["projector"]);
    },
  };
}

async function allDelivered(feed: Feed, { name, count }: Round): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const delivered = await feed.countIn("delivered", `${name}-`);
    if (delivered === count) return;
    if (performance.now() > deadline) throw new Error(`${delivered} of ${count} were delivered`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function withProfiles(
  { worker, projector }: { worker: EgretProcess; projector: EgretProcess },
  file: string,
  work: () => Promise<number>,
): Promise<number> {
  if (worker === projector) return worker.profiled(`${file}.cpuprofile`, work);
  return worker.profiled(`${file}-worker.cpuprofile`, () =>
    projector.profiled(`${file}-projector.cpuprofile`, work),
  );
}

/** A peer in a process of its own, with a database of its own. */
export async function peerContender(
  name: PeerName,
  servers: BenchServers,
  { egret, sink, releases }: Omit<Arena, "feed" | "worker">,
): Promise<Contender> {
  const databaseUrl = await servers.createDatabase();
  const settings: PeerSettings = {
    databaseUrl: `${databaseUrl}?options=${encodeURIComponent(SAME_PROMISE)}`,
    sinkUrl: sink.url,
    webhooks: egret.webhooks,
    concurrency: WORKER_CONCURRENCY,
  };
  const child = await startChild("peerChild.ts", {
    env: { BENCH_PEER: name, BENCH_PEER_SETTINGS: JSON.stringify(settings) },
  });
  releases.push(() => child.close());
  const ask = <Answer>(question: PeerQuestion) => child.ask<Answer>(question);
  return {
    watched: { sender: child.pid },
    async prepare(round) {
      const jobs = Array.from({ length: round.count }, (_, index) => jobOf(egret, round, index));
      await ask({ kind: "enqueue", jobs });
    },
    deliver: async ({ count }) => (await ask<{ ms: number }>({ kind: "work", count })).ms,
    rest: async () => void (await ask({ kind: "rest" })),
  };
}

function jobOf({ webhooks }: BenchEgret, { name, targets }: Round, index: number): Job {
  return { deliveryId: `${name}-${index}`, webhookId: webhooks[index % targets]?.id ?? 0 };
}
