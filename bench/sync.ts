/** Runs of a sync over a million rows, one in a hundred changed or none, against the same pipe and the comparison by hand. */
import { Releases } from "../src/releases.ts";
import type { ByHand } from "./byHand.ts";
import type { BenchContext } from "./context.ts";
import { type Measurement, measured } from "./measurement.ts";
import { alternate } from "./median.ts";
import { openSyncArena, type SyncArena } from "./syncArena.ts";

const ROWS = 1_000_000;
const QUICK_ROWS = 200_000;
/** The other table has so many times fewer rows. */
const FEWER = 10;
/** Ten times the rows may take so many times the time. */
const MOST_TIMES = 11;
/** The first run sends so many; sending all of them is another benchmark. */
const FIRST_ROWS = 50_000;
const FIRST_FEW = 1_000;
const ONE_IN = 100;
const BATCH_SIZE = 1_000;
const ROUNDS = 3;
/** Most memory of our process, bytes. */
export const MEMORY_LIMIT_BYTES = 300e6;

const SYNCS = {
  customers: { table: "customers", batchSize: BATCH_SIZE },
  fewer: { table: "fewer_customers", batchSize: BATCH_SIZE },
};

/** What was found, s. */
interface Found {
  first: number;
  changed: Record<"hand" | "ours", number>;
  nothing: Record<"hand" | "ours" | "fewer", number>;
  peakBytes: number;
}

/** Seconds from the trigger command to sync.success, and the most memory that our process took, first run included. */
export async function benchSync(context: BenchContext): Promise<Measurement[]> {
  const { isQuick } = context;
  const rows = isQuick ? QUICK_ROWS : ROWS;
  const rounds = isQuick ? 1 : ROUNDS;
  const releases = new Releases();
  try {
    const arena = await openSyncArena(context, releases, { syncs: SYNCS });
    await arena.tables.get("fewer_customers")?.growTo(FIRST_FEW);
    await arena.tables.get("customers")?.growTo(FIRST_ROWS);
    await arena.run("fewer", FIRST_FEW);
    const first = await arena.run("customers", FIRST_ROWS);
    await fill(arena, "fewer", { sent: FIRST_FEW, rows: rows / FEWER });
    const hand = await fill(arena, "customers", { sent: FIRST_ROWS, rows });
    const changed = await compareChanged(arena, hand, rounds);
    const nothing = await compareUnchanged(arena, hand, rounds);
    const peakBytes = await arena.egretProcess.peakBytes();
    return [...lines({ first, changed, nothing, peakBytes })];
  } finally {
    await releases.release();
  }
}

async function fill(
  arena: SyncArena,
  sync: keyof typeof SYNCS,
  { sent, rows }: { sent: number; rows: number },
): Promise<ByHand> {
  const hand = await arena.byHand(sync);
  await arena.tables.get(SYNCS[sync].table)?.growTo(rows);
  await hand.fillState(sent);
  return hand;
}

function compareChanged(arena: SyncArena, hand: ByHand, rounds: number): Promise<Found["changed"]> {
  let rows = 0;
  const contenders = {
    hand: () => arena.runByHand("customers", hand, rows),
    ours: () => arena.run("customers", rows),
  };
  return alternate(rounds, contenders, async (round) => {
    rows = (await arena.tables.get("customers")?.change(round, ONE_IN)) ?? 0;
  });
}

function compareUnchanged(arena: SyncArena, hand: ByHand, rounds: number): Promise<Found["nothing"]> {
  return alternate(rounds, {
    hand: async () => {
      const { ms, rows } = await hand.compare();
      if (rows !== 0) throw new Error(`by hand found ${rows} rows of none`);
      return ms / 1000;
    },
    ours: () => arena.run("customers", 0),
    fewer: () => arena.run("fewer", 0),
  });
}

function lines({ first, changed, nothing, peakBytes }: Found): Measurement[] {
  return [
    measured({
      name: "sync",
      value: changed.ours,
      unit: "s",
      kind: "cost",
      reference: changed.hand,
      bar: 0.67,
      against: "by hand: hash, COPY, FULL JOIN, POST, state; 1 % changed; ratio = by hand / ours",
    }),
    measured({
      name: "sync-nochange",
      value: nothing.ours,
      unit: "s",
      kind: "cost",
      reference: nothing.hand,
      bar: 0.83,
      against: "the comparison alone by hand, nothing changed: 0.83 is 1.2 times its time",
    }),
    measured({
      name: "sync-linear",
      value: nothing.ours,
      unit: "s",
      kind: "cost",
      reference: nothing.fewer * MOST_TIMES,
      bar: 1,
      against: `a limit: ${MOST_TIMES} times what a tenth of the rows takes, ${nothing.fewer.toFixed(2)} s`,
    }),
    measured({
      name: "sync-memory",
      value: peakBytes / 1e6,
      unit: "MB",
      kind: "cost",
      reference: MEMORY_LIMIT_BYTES / 1e6,
      bar: 1,
      against: "limit for our process at its peak in these runs; ratio = limit / peak",
    }),
    measured({
      name: "first-sync",
      value: FIRST_ROWS / first,
      unit: "rows/s",
      kind: "rate",
      against: `nothing: one run of a cold process that sends all of ${FIRST_ROWS.toLocaleString("en-US")} rows`,
    }),
  ];
}
