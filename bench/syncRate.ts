/** How many changed rows a second a sync sends, by the size of its batches, against the same by hand. */
import { Releases } from "../src/releases.ts";
import type { ByHand } from "./byHand.ts";
import { egretContender } from "./contest.ts";
import type { BenchContext } from "./context.ts";
import { AT_WORK } from "./egret.ts";
import { openFeed } from "./feed.ts";
import { type Measurement, measured } from "./measurement.ts";
import { alternate } from "./median.ts";
import { expectAtSink } from "./sink.ts";
import { openSyncArena, type SyncArena } from "./syncArena.ts";

/** Rows of each table, all changed in each round. */
const SIZES = {
  rate1000: { table: "rate1000", batchSize: 1_000, rows: 200_000 },
  rate100: { table: "rate100", batchSize: 100, rows: 20_000 },
  rate1: { table: "rate1", batchSize: 1, rows: 5_000, parallel: 50 },
} as const;
type Name = keyof typeof SIZES;
const QUICK_SHARE = 0.1;
const ROUNDS = 3;
/** Runs of one row a request are short, and what they are held against too: a moment of the machine is a third of one. */
const SHORT_ROUNDS = 7;
/** Rows a second wanted at a thousand a request, on a machine on which it takes this many by hand: the share is what is held. */
const WANTED_RATE = 40_000;
const WANTED_BY_HAND = 86_000;

/** Rows, or deliveries, a second by who sends them. */
type Rates = Record<string, number>;

/** Rows per second of whole runs. */
export async function benchSyncRate(context: BenchContext): Promise<Measurement[]> {
  const roundsOf = (name: Name) => (context.isQuick ? 1 : name === "rate1" ? SHORT_ROUNDS : ROUNDS);
  const releases = new Releases();
  try {
    const arena = await openSyncArena(context, releases, { syncs: SIZES, hooks: 1 });
    const engine = await openEngine(context, arena, releases);
    const rates = new Map<Name, Rates>();
    for (const name of Object.keys(SIZES) as Name[]) {
      const rows = SIZES[name].rows * (context.isQuick ? QUICK_SHARE : 1);
      const hand = await prepare(arena, name, rows);
      const contenders: Record<string, () => Promise<number>> = {
        hand: async () => rows / (await arena.runByHand(name, hand, rows)),
        ours: async () => rows / (await arena.run(name, rows)),
      };
      if (name === "rate1") {
        contenders["engine"] = () => engine(rows);
        await engine(rows);
      }
      rates.set(name, await compare(arena, { name, contenders, rounds: roundsOf(name) }));
    }
    return lines(rates);
  } finally {
    await releases.release();
  }
}

async function prepare(arena: SyncArena, name: Name, rows: number): Promise<ByHand> {
  await arena.tables.get(name)?.growTo(rows);
  const hand = await arena.byHand(name);
  await hand.emptyState();
  await arena.runByHand(name, hand, rows);
  await arena.run(name, rows);
  return hand;
}

async function compare(
  arena: SyncArena,
  {
    name,
    contenders,
    rounds,
  }: { name: Name; contenders: Record<string, () => Promise<number>>; rounds: number },
): Promise<Rates> {
  return alternate(rounds, contenders, async (round) => {
    await arena.tables.get(name)?.change(round, 1);
  });
}

/**
 * What sends lifecycle deliveries, as many as there are rows: how many a second. In a process of its own, as every contender
 * has: code that does now the one and now the other is compiled again and again. Who is not at work sleeps.
 */
async function openEngine(
  { profileDir }: BenchContext,
  { egret, egretProcess, sink }: SyncArena,
  releases: Releases,
): Promise<(count: number) => Promise<number>> {
  const feed = await openFeed(egret);
  releases.push(() => feed.close());
  const secrets = egret.webhooks.map(({ id, secret }): [string, string] => [String(id), secret]);
  const worker = await egret.openProcess();
  releases.push(() => worker.close());
  let turns = 0;
  return async (count) => {
    turns += 1;
    const round = { name: `engine${turns}`, count, targets: 1 };
    await egretProcess.stop();
    const contender = await egretContender(
      { processes: 1, profileDir },
      { egret, feed, sink, releases, worker },
    );
    await contender.prepare(round);
    await sink.watch({ secrets });
    const ms = await contender.deliver(round);
    await expectAtSink(sink, count);
    // Rows are not signed here.
    await sink.watch({ secrets: [] });
    await worker.stop();
    await egretProcess.start(AT_WORK);
    return (count / ms) * 1000;
  };
}

function lines(rates: ReadonlyMap<Name, Rates>): Measurement[] {
  const byHand = (name: Name, shown: string, bar: number | null) => {
    const { hand = 0, ours = 0 } = rates.get(name) ?? {};
    const { batchSize, rows } = SIZES[name];
    return measured({
      name: shown,
      value: ours,
      unit: "rows/s",
      kind: "rate",
      reference: hand,
      ...(bar === null ? {} : { bar }),
      against: `by hand, ${rows.toLocaleString("en-US")} changed rows, ${batchSize} a request`,
    });
  };
  const limit = (name: Name, shown: string, held: { reference: number; bar: number; against: string }) =>
    measured({ name: shown, value: rates.get(name)?.["ours"] ?? 0, unit: "rows/s", kind: "rate", ...held });
  return [
    byHand("rate1000", "sync-rate-1000", WANTED_RATE / WANTED_BY_HAND),
    byHand("rate100", "sync-rate-100", 0.5),
    byHand("rate1", "sync-rate-1", null),
    limit("rate1", "sync-rate-1/engine", {
      reference: rates.get("rate1")?.["engine"] ?? 0,
      bar: 0.67,
      against: "lifecycle deliveries of one process to one webhook, in turn: 0.67 is 1.5 times their time",
    }),
  ];
}
