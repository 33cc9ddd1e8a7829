/** First runs, which send every row: a million against the same by hand, and many more on request. */
import { Releases } from "../src/releases.ts";
import type { BenchContext } from "./context.ts";
import { type Measurement, measured } from "./measurement.ts";
import { alternate } from "./median.ts";
import { MEMORY_LIMIT_BYTES } from "./sync.ts";
import { type BenchSync, openSyncArena } from "./syncArena.ts";

const ROWS = 1_000_000;
const QUICK_ROWS = 100_000;
const LARGE_ROWS = 5_000_000;
const SYNC: BenchSync = { table: "customers", batchSize: 1_000 };
const ROUNDS = 3;

/** Seconds of a run in which all rows are new: each round has a sync that never ran before. */
export async function benchSyncNew(context: BenchContext): Promise<Measurement[]> {
  const { isQuick } = context;
  const rows = isQuick ? QUICK_ROWS : ROWS;
  const rounds = isQuick ? 1 : ROUNDS;
  const releases = new Releases();
  try {
    const names = Array.from({ length: rounds }, (_, index) => `first${index + 1}`);
    const syncs = Object.fromEntries(["warm", ...names].map((name) => [name, SYNC]));
    const arena = await openSyncArena(context, releases, { syncs });
    const hand = await arena.byHand("warm");
    await arena.tables.get("customers")?.growTo(rows / 10);
    await arena.run("warm", rows / 10);
    await hand.emptyState();
    await arena.runByHand("warm", hand, rows / 10);
    await arena.tables.get("customers")?.growTo(rows);
    const seconds = await alternate(
      rounds,
      {
        hand: () => arena.runByHand("warm", hand, rows),
        ours: (round) => arena.run(`first${round}`, rows),
      },
      () => hand.emptyState(),
    );
    context.note(`sync-new, seconds of the last run up to each event: ${arena.phases()}`);
    return [
      measured({
        name: "sync-new",
        value: seconds.ours,
        unit: "s",
        kind: "cost",
        reference: seconds.hand,
        bar: 0.67,
        against: `by hand: hash, COPY, FULL JOIN, POST, state; all of ${rows.toLocaleString("en-US")} rows new`,
      }),
      peakLine("sync-new-memory", await arena.egretProcess.peakBytes(), rows),
    ];
  } finally {
    await releases.release();
  }
}

/** The most memory of our process while it sends five million rows. */
export async function benchSyncLarge(context: BenchContext): Promise<Measurement[]> {
  const rows = context.isQuick ? QUICK_ROWS : LARGE_ROWS;
  const releases = new Releases();
  try {
    const arena = await openSyncArena(context, releases, { syncs: { first: SYNC } });
    await arena.tables.get("customers")?.growTo(rows);
    const seconds = await arena.run("first", rows);
    return [
      measured({
        name: "sync-large",
        value: rows / seconds,
        unit: "rows/s",
        kind: "rate",
        against: `nothing: one run that sends all of ${rows.toLocaleString("en-US")} rows`,
      }),
      peakLine("sync-large-memory", await arena.egretProcess.peakBytes(), rows),
    ];
  } finally {
    await releases.release();
  }
}

function peakLine(name: string, peakBytes: number, rows: number): Measurement {
  return measured({
    name,
    value: peakBytes / 1e6,
    unit: "MB",
    kind: "cost",
    reference: MEMORY_LIMIT_BYTES / 1e6,
    bar: 1,
    against: `limit for our process at its peak, ${rows.toLocaleString("en-US")} rows sent; ratio = limit / peak`,
  });
}
