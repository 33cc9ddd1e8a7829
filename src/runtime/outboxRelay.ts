/** Carries configuration changes from the outbox, where each stands since the transaction of the change, into the log. */
import { type Kysely, type Selectable, sql } from "kysely";
import type { Aggregate, ConfigAggregate, ConfigKind } from "../domain/aggregate.ts";
import { toError, VersionConflict } from "../domain/errors.ts";
import type { AnyEvent, EventData, StoredEvent } from "../domain/event.ts";
import type { Database, OutboxTable } from "../projections/database.ts";

type ConfigEventType = "config.created" | "config.updated" | "config.deleted";

/** The part of the log that the relay needs. */
export interface ConfigLog {
  last(aggregate: Aggregate): Promise<StoredEvent | null>;
  load(aggregate: Aggregate): Promise<StoredEvent[]>;
  append(
    aggregate: Aggregate,
    draft: {
      type: ConfigEventType;
      machine: null;
      state: string;
      data: EventData<ConfigEventType>;
      id: string;
      time: Date;
    },
    head: { version: number; sequence: number },
  ): Promise<StoredEvent<AnyEvent>>;
}

/** Any number that nothing else in Egret locks: of several processes one relays, the others come back later. */
const RELAY_LOCK = 7_236_402;
const BATCH = 100;

/**
 * Relays what waits, oldest first, and returns how many; 0 also while another process is at it. A row that was
 * relayed before a crash is known again by its event id, so nothing is told twice.
 * @throws what the log throws; rows before that one are done, it and those after it stay.
 */
export async function relayOutbox(db: Kysely<Database>, log: ConfigLog): Promise<number> {
  // Mostly nothing waits: one statement tells, without a transaction.
  const first = await db.selectFrom("egret.outbox").select("id").limit(1).executeTakeFirst();
  if (first === undefined) return 0;
  let failure: { error: unknown } | null = null;
  const relayed = await db.transaction().execute(async (trx) => {
    const { rows: locks } = await sql<{
      ours: boolean;
    }>`select pg_try_advisory_xact_lock(${RELAY_LOCK}) as ours`.execute(trx);
    if (locks[0]?.ours !== true) return 0;
    const waiting = await trx.selectFrom("egret.outbox").selectAll().orderBy("id").limit(BATCH).execute();
    const done: number[] = [];
    for (const row of waiting) {
      try {
        await relayRow(log, row);
      } catch (error) {
        failure = { error };
        break;
      }
      done.push(row.id);
    }
    if (done.length > 0) await trx.deleteFrom("egret.outbox").where("id", "in", done).execute();
    return done.length;
  });
  // After the commit, so that what was relayed is not relayed again because of what was not.
  if (failure !== null) throw (failure as { error: unknown }).error;
  return relayed;
}

async function relayRow(log: ConfigLog, row: Selectable<OutboxTable>): Promise<void> {
  const aggregate: ConfigAggregate = {
    kind: "config",
    workspaceId: row.workspace_id,
    objectKind: row.kind as ConfigKind,
    objectId: row.object_id,
  };
  const last = await log.last(aggregate);
  const head = { version: last?.event.version ?? 0, sequence: last?.sequence ?? 0 };
  if (head.version >= row.version) {
    const history = await log.load(aggregate);
    if (history.some(({ event }) => event.id === row.event_id)) return;
  }
  if (head.version !== row.version - 1) {
    throw new VersionConflict(
      `${row.kind} ${row.object_id} is at version ${head.version} in the log, but change ${row.version} waits in the outbox: ` +
        "the log and the database are not of the same installation",
    );
  }
  const draft = {
    type: `config.${row.change}` as const,
    machine: null,
    state: row.change,
    data: row.data as EventData<ConfigEventType>,
    id: row.event_id,
    time: row.occurred_at,
  };
  await log.append(aggregate, draft, head);
}

/** A relay that runs until it is stopped. */
export interface OutboxRelay {
  /** Looks at once instead of at the next turn, for instance after an apply in this process. */
  poke(): void;
  /** Ends after the pass that is under way. */
  stop(): Promise<void>;
}

/** Relays whenever something waits; `onError` gets what went wrong, and the next turn tries again. */
export function startOutboxRelay(input: {
  db: Kysely<Database>;
  log: ConfigLog;
  /** Pause between looks, ms. */
  intervalMs?: number;
  onError(error: Error): void;
}): OutboxRelay {
  const { db, log, intervalMs = 1_000, onError } = input;
  const stopping = new AbortController();
  let isPoked = false;
  let endPause: (() => void) | null = null;
  const pause = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, intervalMs);
      endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    endPause = null;
  };
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      isPoked = false;
      const relayed = await relayOutbox(db, log).catch((error: unknown) => {
        onError(toError(error));
        return 0;
      });
      if (relayed < BATCH && !isPoked && !stopping.signal.aborted) await pause();
    }
  };
  const running = run();
  return {
    poke: () => {
      isPoked = true;
      endPause?.();
    },
    stop: async () => {
      stopping.abort();
      endPause?.();
      await running;
    },
  };
}
