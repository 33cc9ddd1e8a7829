/** Puts work into the log of an Egret that is measured, at once or at a pace, and tells when it has been projected. */
import pg from "pg";
import type { Aggregate } from "../src/domain/aggregate.ts";
import { connectLog, ensureTopology, type LogConnection } from "../src/log/connection.ts";
import { type EventDraft, EventLog, NEW_AGGREGATE } from "../src/log/eventLog.ts";
import { DEFAULT_LOG_LIMITS, Topology } from "../src/log/topology.ts";
import { Releases } from "../src/releases.ts";
import { createPending, type PendingPlace } from "./deliveries.ts";
import type { BenchEgret } from "./egret.ts";
import { pipelined } from "./pipelined.ts";

const CREATE_IN_FLIGHT = 500;
const POLL_MS = 10;

/** The log and the read models of one installation, from outside. */
export interface Feed {
  connection: LogConnection;
  /** Appends the first event of an aggregate; resolves to its id. */
  append(first: { aggregate: Aggregate; draft: EventDraft }): Promise<string>;
  /** Appends so many deliveries, many under way at once. */
  appendAll(count: number, place: (index: number) => PendingPlace): Promise<void>;
  /** Last sequence of the stream of deliveries. */
  lastSequence(): Promise<number>;
  /** Waits until the deliveries' read model has seen a sequence. @throws after `patienceMs`. */
  projected(sequence: number, patienceMs: number): Promise<void>;
  /** Deliveries in a state, of those whose id begins so. */
  countIn(state: string, idPrefix: string): Promise<number>;
  close(): Promise<void>;
}

/** Opens it; makes the streams if no process has done so. */
export async function openFeed(egret: BenchEgret): Promise<Feed> {
  const releases = new Releases();
  const connection = await connectLog(egret.natsUrl, new Topology(egret.streamPrefix));
  releases.push(() => connection.close());
  await ensureTopology(connection, DEFAULT_LOG_LIMITS);
  const log = new EventLog(connection);
  releases.push(async () => log.close());
  const pool = new pg.Pool({ connectionString: egret.databaseUrl, max: 1 });
  releases.push(() => pool.end());
  const append: Feed["append"] = async ({ aggregate, draft }) =>
    (await log.append(aggregate, draft, NEW_AGGREGATE)).event.id;
  return {
    connection,
    append,
    async appendAll(count, place) {
      await pipelined({ count, inFlight: CREATE_IN_FLIGHT }, (index) => append(createPending(place(index))));
    },
    lastSequence: async () => (await log.info("deliveries")).lastSequence,
    async projected(sequence, patienceMs) {
      const deadline = performance.now() + patienceMs;
      for (;;) {
        const at = await projectedUpTo(pool);
        if (at >= sequence) return;
        if (performance.now() > deadline) throw new Error(`projected up to ${at}, not ${sequence}`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    },
    async countIn(state, idPrefix) {
      const sql = "select count(*)::int as count from egret_read.deliveries where state = $1 and id like $2";
      const { rows } = await pool.query<{ count: number }>(sql, [state, `${idPrefix}%`]);
      return rows[0]?.count ?? 0;
    },
    close: () => releases.release(),
  };
}

async function projectedUpTo(pool: pg.Pool): Promise<number> {
  const sql = "select last_sequence from egret_read.checkpoints where stream = 'deliveries'";
  const { rows } = await pool.query<{ last_sequence: string }>(sql);
  return Number(rows[0]?.last_sequence ?? 0);
}

/** How often, and for how long. */
export interface Pacing {
  perSecond: number;
  seconds: number;
}

/** Starts a task at each beat whether the ones before have ended or not, and waits for all of them. */
export async function paced(
  { perSecond, seconds }: Pacing,
  task: (index: number) => Promise<unknown>,
): Promise<void> {
  const gapMs = 1000 / perSecond;
  const tasks: Promise<unknown>[] = [];
  const started = performance.now();
  for (let index = 0; index < perSecond * seconds; index += 1) {
    const waitMs = started + index * gapMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    tasks.push(task(index));
  }
  await Promise.all(tasks);
}
