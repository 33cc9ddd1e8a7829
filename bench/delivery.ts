/** Deliveries of one event each, event-sourced from end to end, against bare POSTs and against queues in Postgres. */
import { Releases } from "../src/releases.ts";
import { type Contender, egretContender, peerContender, type Round } from "./contest.ts";
import type { BenchContext } from "./context.ts";
import { cpuBetween, readCpu, type Watched } from "./cpu.ts";
import { type CpuRow, cpuTable } from "./cpuTable.ts";
import { openBenchEgret, WORKER_CONCURRENCY, webhooksYaml } from "./egret.ts";
import { openFeed } from "./feed.ts";
import { type Measurement, measured } from "./measurement.ts";
import { alternate } from "./median.ts";
import { PEERS, type PeerName } from "./peers/peer.ts";
import { expectAtSink, type Sink, startSink } from "./sink.ts";

const COUNT = 20_000;
const QUICK_COUNT = 3_000;
/** A round takes as long as a mood of the machine: of three, one bad one moves the median. */
const ROUNDS = 5;
/** Part of a round that warms each contender up before the first. */
const WARM_UP = 0.1;
/** Deliveries to many targets, which are only reported. */
const MANY_TARGETS = [40, 400];
const MANY_SHARE = 0.2;

type Name = "egret" | PeerName;
type Contenders = Record<Name, Contender>;

/** What ours is held against, least ratio first where the issue names one. */
const HELD: Record<PeerName, { bar?: number; against: string }> = {
  bare: { bar: 0.25, against: "bare undici: the same requests, signed and sent, nothing remembered" },
  "bare-row": { against: "bare undici with one attempt row in Postgres" },
  "pg-boss": { bar: 0.85, against: "pg-boss: a job and an attempt row each, in Postgres" },
  "graphile-worker": { against: "graphile-worker: a job and an attempt row each; aim: 1.00" },
};

/** Deliveries per second: all wait before the clock starts, workers start, the last is done and recorded. */
export async function benchDelivery(context: BenchContext): Promise<Measurement[]> {
  const count = context.isQuick ? QUICK_COUNT : COUNT;
  const releases = new Releases();
  try {
    const sink = await startSink();
    releases.push(() => sink.close());
    const contenders = await openContenders(context, { sink, releases });
    const tally = new Tally(context, sink);
    for (const [name, contender] of Object.entries(contenders)) {
      await tally.run(contender, { name: `warm-${name}`, count: count * WARM_UP, targets: 1 });
    }
    tally.forget(Object.keys(contenders));
    const rates = await alternate(
      context.isQuick ? 1 : ROUNDS,
      mapValues(
        contenders,
        (contender, name) => (round: number) =>
          tally.run(contender, { name: `${name}${round}`, count, targets: 1 }, name),
      ),
    );
    const many: [number, number][] = [];
    for (const targets of MANY_TARGETS) {
      const round = { name: `to${targets}`, count: count * MANY_SHARE, targets };
      many.push([targets, await tally.run(contenders.egret, round, `egret, ${targets} targets`)]);
    }
    context.note(cpuTable("CPU per delivery, µs", tally.rows()));
    return lines(rates, many);
  } finally {
    await releases.release();
  }
}

async function openContenders(
  context: BenchContext,
  { sink, releases }: { sink: Sink; releases: Releases },
): Promise<Contenders> {
  const paths = Array.from({ length: Math.max(...MANY_TARGETS) }, () => "/hook");
  const egret = await openBenchEgret(context.servers, webhooksYaml(sink.url, paths));
  await sink.watch({ secrets: egret.webhooks.map(({ id, secret }) => [String(id), secret]) });
  const feed = await openFeed(egret);
  releases.push(() => feed.close());
  const arena = { egret, feed, sink, releases };
  const opened: [Name, Contender][] = [["egret", await egretContender(context, arena)]];
  for (const name of PEERS) opened.push([name, await peerContender(name, context.servers, arena)]);
  return Object.fromEntries(opened) as Contenders;
}

/** Runs rounds, proves each at the sink, and adds up what CPU each contender's took. */
class Tally {
  readonly #context: BenchContext;
  readonly #sink: Sink;
  readonly #used = new Map<string, CpuRow>();

  constructor(context: BenchContext, sink: Sink) {
    this.#context = context;
    this.#sink = sink;
  }

  /** One round; deliveries per second. */
  async run(contender: Contender, round: Round, row = round.name): Promise<number> {
    await contender.prepare(round);
    await this.#sink.watch();
    const watched: Watched = {
      ...contender.watched,
      ...this.#context.servers.pids,
      sink: this.#sink.pid,
      bench: process.pid,
    };
    const before = await readCpu(watched);
    const ms = await contender.deliver(round);
    const cpu = cpuBetween(before, await readCpu(watched));
    this.#add({ name: row, deliveries: round.count, wallMs: ms, cpu });
    await contender.rest();
    await expectAtSink(this.#sink, round.count);
    return (round.count / ms) * 1000;
  }

  /** Begins anew; rows come in this order, others after them. */
  forget(order: readonly string[]): void {
    this.#used.clear();
    for (const row of order) this.#used.set(row, { name: row, deliveries: 0, wallMs: 0, cpu: {} });
  }

  rows(): CpuRow[] {
    return [...this.#used.values()];
  }

  #add({ name, deliveries, wallMs, cpu }: CpuRow): void {
    const known = this.#used.get(name) ?? { name, deliveries: 0, wallMs: 0, cpu: {} };
    const sum = { ...known.cpu };
    for (const [process, ms] of Object.entries(cpu)) sum[process] = (sum[process] ?? 0) + ms;
    this.#used.set(name, {
      name,
      deliveries: known.deliveries + deliveries,
      wallMs: known.wallMs + wallMs,
      cpu: sum,
    });
  }
}

function lines(rates: Record<Name, number>, many: [number, number][]): Measurement[] {
  const held = PEERS.map((peer) =>
    measured({
      name: peer === "bare" ? "delivery" : `delivery/${peer}`,
      value: rates.egret,
      unit: "deliveries/s",
      kind: "rate",
      reference: rates[peer],
      ...HELD[peer],
    }),
  );
  const toMany = many.map(([targets, rate]) =>
    measured({
      name: `delivery-${targets}`,
      value: rate,
      unit: "deliveries/s",
      kind: "rate",
      reference: rates.egret,
      against: `ours to one target; these go to ${targets}, ${WORKER_CONCURRENCY} under way in both`,
    }),
  );
  return [...held, ...toMany];
}

function mapValues<Key extends string, From, To>(
  record: Record<Key, From>,
  map: (value: From, key: Key) => To,
): Record<Key, To> {
  const entries = Object.entries(record) as [Key, From][];
  return Object.fromEntries(entries.map(([key, value]) => [key, map(value, key)])) as Record<Key, To>;
}
