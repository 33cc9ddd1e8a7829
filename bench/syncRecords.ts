/** What it costs to keep the rows of a run as they were sent: first runs with them and without, in turn. */
import { Releases } from "../src/releases.ts";
import type { BenchContext } from "./context.ts";
import { AT_WORK, type EgretProcess } from "./egret.ts";
import { type Measurement, measured } from "./measurement.ts";
import { alternate } from "./median.ts";
import { type BenchSync, openSyncArena } from "./syncArena.ts";

const ROWS = 200_000;
const QUICK_ROWS = 50_000;
const SYNC: BenchSync = { table: "customers", batchSize: 1_000 };
const ROUNDS = 3;

/** Seconds of a run that sends every row, in a process that keeps them and in one that keeps none. */
export async function benchSyncRecords(context: BenchContext): Promise<Measurement[]> {
  const { isQuick } = context;
  const rows = isQuick ? QUICK_ROWS : ROWS;
  const rounds = isQuick ? 1 : ROUNDS;
  const releases = new Releases();
  try {
    const names = Array.from({ length: rounds + 1 }, (_, round) => [
      `kept${round}`,
      `without${round}`,
    ]).flat();
    const syncs = Object.fromEntries(names.map((name) => [name, SYNC]));
    const arena = await openSyncArena(context, releases, { syncs });
    await arena.tables.get("customers")?.growTo(rows);
    const { egretProcess: keeping } = arena;
    await keeping.stop();
    const keepingNone = await arena.egret.openProcess({ recordRetentionDays: 0 });
    releases.push(() => keepingNone.close());
    const inProcess = async (egretProcess: EgretProcess, sync: string) => {
      await egretProcess.start(AT_WORK);
      const seconds = await arena.run(sync, rows);
      await egretProcess.stop();
      return seconds;
    };
    const contenders = {
      without: (round: number) => inProcess(keepingNone, `without${round}`),
      kept: (round: number) => inProcess(keeping, `kept${round}`),
    };
    await contenders.without(0);
    await contenders.kept(0);
    const seconds = await alternate(rounds, contenders);
    return [
      measured({
        name: "sync-records",
        value: seconds.kept,
        unit: "s",
        kind: "cost",
        reference: seconds.without,
        bar: 0.5,
        against: `no rows kept; ${rows.toLocaleString("en-US")} new rows: 0.50 is twice the time`,
      }),
    ];
  } finally {
    await releases.release();
  }
}
