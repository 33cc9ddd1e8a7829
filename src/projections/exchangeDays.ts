/** The table of exchanges and its days as partitions: named, listed, and made by whoever needs one first. */
import type pg from "pg";
import { lockExchangeDays } from "./advisoryLocks.ts";

/** Chunks of exchanges as Kysely reads them. */
export interface ExchangeTable {
  /** When the chunk was closed: at or soon after the end of every exchange in it. */
  kept_at: Date;
  /** `webhook/4`: whose exchanges are in it. */
  targets: string[];
  exchanges: number;
  /** One JSON array a line, compressed with zstd. */
  lines: Buffer;
}

const DAY_MS = 86_400_000;

/** A day (UTC) of exchanges, by its number since 1970. */
export interface ExchangeDay {
  day: number;
  /** Name of the partition, without its schema. */
  partition: string;
}

/** Number of the day (UTC) of an instant, ms. */
export function dayOf(instantMs: number): number {
  return Math.floor(instantMs / DAY_MS);
}

function dateOf(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}

function partitionOf(day: number): string {
  return `exchanges_${dateOf(day).replaceAll("-", "")}`;
}

/** Days that have a partition, oldest first. */
export async function listExchangeDays(client: Pick<pg.ClientBase, "query">): Promise<ExchangeDay[]> {
  const { rows } = await client.query<{ partition: string }>(
    `select relname as partition from pg_inherits join pg_class on pg_class.oid = inhrelid
     where inhparent = 'egret.exchanges'::regclass order by relname`,
  );
  return rows.map(({ partition }) => {
    const [year, month, date] = [partition.slice(10, 14), partition.slice(14, 16), partition.slice(16, 18)];
    return { partition, day: dayOf(Date.parse(`${year}-${month}-${date}`)) };
  });
}

/** Makes the days that are missing; any number of processes may ask for the same ones at once. */
export async function makeExchangeDays(client: pg.ClientBase, days: Iterable<number>): Promise<void> {
  await client.query("begin");
  try {
    await lockExchangeDays(client);
    const known = new Set((await listExchangeDays(client)).map(({ day }) => day));
    for (const day of days) {
      if (known.has(day)) continue;
      const partition = `egret.${partitionOf(day)}`;
      // Attached, not made in place: that would wait for every reader of the other days, and keep writers waiting.
      await client.query(`create table ${partition} (like egret.exchanges including all)`);
      await client.query(
        `alter table egret.exchanges attach partition ${partition}
         for values from ('${dateOf(day)}T00:00:00Z') to ('${dateOf(day + 1)}T00:00:00Z')`,
      );
    }
    await client.query("commit");
  } catch (error) {
    await client.query("rollback").catch(() => undefined);
    throw error;
  }
}
