/** Partitions of the read models of deliveries: ranges of run ids, made by the projector when the first run of one comes. */
import pg from "pg";
import type { ReadModelWriter } from "./tableWriter.ts";

/** Tables that are partitioned alike, by `run_id`. Nearly every row of the first is updated soon: its pages keep room. */
export const RUN_PARTITIONED = [
  { name: "deliveries", storage: " with (fillfactor = 70)" },
  { name: "attempts", storage: "" },
] as const;

/** A range of run ids, `to` excluded. */
export interface RunRange {
  from: number;
  to: number;
}

/** A row for which there is no partition yet. */
export interface PartitionedRow {
  run_id: number;
  created_at: string | null;
}

const DAY_MS = 86_400_000;
/** Runs of the first partition of all, when nothing says yet how many a day has. */
const FIRST_RUNS = 64;
const FEWEST_RUNS = 16;
/** From one partition to the next their size changes by this factor at most: one odd hour does not decide a year. */
const MOST_GROWTH = 16;

/** Name of the partition of a table that holds a range; the name says the range. */
export function partitionName(table: string, { from, to }: RunRange): string {
  return `${table}_${from}_${to}`;
}

/** Ranges for which there are partitions, in their order: asked for each batch, so read from the names. */
export async function listRunRanges(
  client: Pick<pg.ClientBase, "query">,
  schema: string,
): Promise<RunRange[]> {
  const { rows } = await client.query<[string]>({
    name: "egret_run_ranges",
    text: "select relname from pg_inherits join pg_class on pg_class.oid = inhrelid where inhparent = $1::regclass",
    values: [`${pg.escapeIdentifier(schema)}.deliveries`],
    rowMode: "array",
  });
  const ranges = rows.map(([name]) => {
    const [, from, to] = name.split("_");
    return { from: Number(from), to: Number(to) };
  });
  return ranges.sort((a, b) => a.from - b.from);
}

/** The range that a run is in. */
export function rangeOf(ranges: readonly RunRange[], runId: number): RunRange | undefined {
  // Most events are of the newest runs.
  return ranges.findLast(({ from, to }) => runId >= from && runId < to);
}

/**
 * Makes the partitions that rows need; call it in the transaction that then writes them. A partition begins where the
 * one before it ends and is made for as many runs as that one had in a day, so that there are about as many as days of
 * retention, however many runs a day has.
 */
export async function makeRunPartitions(
  writer: ReadModelWriter,
  rows: readonly PartitionedRow[],
): Promise<void> {
  const ranges = await listRunRanges(writer.client, writer.schema);
  const inOrder = rows.toSorted((a, b) => a.run_id - b.run_id);
  for (const row of inOrder) {
    if (rangeOf(ranges, row.run_id) !== undefined) continue;
    const before = ranges.findLast(({ to }) => to <= row.run_id);
    const after = ranges.find(({ from }) => from > row.run_id);
    const runs = before === undefined ? FIRST_RUNS : await runsPerDay(writer, before, row);
    const from = before?.to ?? 0;
    const range = { from, to: Math.min(row.run_id + runs, after?.from ?? Number.MAX_SAFE_INTEGER) };
    await createPartitions(writer, range);
    ranges.push(range);
    ranges.sort((a, b) => a.from - b.from);
  }
}

/** Runs that a day has, by how long the partition before took to be filled. */
async function runsPerDay(
  { client, schema }: ReadModelWriter,
  before: RunRange,
  next: PartitionedRow,
): Promise<number> {
  const partition = `${pg.escapeIdentifier(schema)}.${partitionName("deliveries", before)}`;
  const { rows } = await client.query<{ run_id: number; created_at: Date }>(
    `select run_id, created_at from ${partition} order by run_id limit 1`,
  );
  const first = rows[0];
  const size = before.to - before.from;
  if (first === undefined) return clampRuns(size, size);
  const runs = before.to - first.run_id;
  const tookMs = Math.max(1, Date.parse(next.created_at ?? "") - first.created_at.getTime());
  return clampRuns((runs * DAY_MS) / tookMs, runs);
}

function clampRuns(wanted: number, runsBefore: number): number {
  const most = Math.max(FIRST_RUNS, runsBefore * MOST_GROWTH);
  return Math.max(FEWEST_RUNS, Math.min(most, Math.round(wanted)));
}

/** Attached after they were made, so that readers of the other partitions go on meanwhile. */
async function createPartitions({ client, schema }: ReadModelWriter, range: RunRange): Promise<void> {
  const inSchema = pg.escapeIdentifier(schema);
  for (const { name, storage } of RUN_PARTITIONED) {
    const partition = `${inSchema}.${partitionName(name, range)}`;
    await client.query(`create table ${partition} (like ${inSchema}.${name} including all)${storage}`);
    await client.query(
      `alter table ${inSchema}.${name} attach partition ${partition} for values from (${range.from}) to (${range.to})`,
    );
  }
}
