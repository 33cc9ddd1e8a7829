/** Projects one batch of events: every read model and the stream's checkpoint, in one transaction. */
import type pg from "pg";
import type { StoredEvent } from "../domain/event.ts";
import { projectAlerts } from "./alerts.ts";
import { advanceCheckpoint, assertSameStream, LIVE_SCHEMA, lockCheckpoint } from "./checkpoint.ts";
import { projectRefusedCommands } from "./commands.ts";
import { projectConfigChanges } from "./configChanges.ts";
import { projectDeliveries } from "./deliveries.ts";
import { projectEndpoints } from "./endpoints.ts";
import type { StreamName } from "./eventSource.ts";
import { projectRuns } from "./runs.ts";
import { projectSyncs } from "./syncs.ts";
import type { ReadModelWriter } from "./tableWriter.ts";
import { projectWebhooks } from "./webhooks.ts";

/** Events of one stream, in order, to be projected together. */
export interface EventBatch {
  stream: StreamName;
  /** When the stream was created, which says that it is the one the read models were made from. */
  streamCreated: Date;
  events: readonly StoredEvent[];
  /** Sequence up to which the reader believes everything is projected; unset, the events stand for themselves. */
  after?: number;
  schema?: string;
}

/**
 * What became of a batch: `applied`, with events known before left out; `behind` when the checkpoint stands before
 * `after`, so that applying would leave a hole; `paused` while a rebuild has the read models. Only `applied` wrote.
 */
export type BatchOutcome =
  | { outcome: "applied"; checkpoint: number; applied: number; skipped: number }
  | { outcome: "behind"; checkpoint: number }
  | { outcome: "paused" };

/**
 * A crash of Postgres can take back the last moments, but rows and checkpoint go together: they are read again. Rows are
 * looked up one by one by their keys: a young partition has no statistics, and the planner would read it whole.
 */
const BEGIN =
  "begin; set local synchronous_commit = off; set local enable_hashjoin = off; set local enable_mergejoin = off";

/**
 * Projects a batch in one transaction of a handful of statements. Events at or below the checkpoint are dropped, so
 * reading twice changes nothing; `skipped` counts those whose aggregate's beginning the log no longer holds.
 * @throws LogCorrupt when the read models were made from another stream.
 */
export async function projectBatch(client: pg.ClientBase, batch: EventBatch): Promise<BatchOutcome> {
  await client.query(BEGIN);
  try {
    const outcome = await applyBatch(client, batch);
    await client.query(outcome.outcome === "applied" ? "commit" : "rollback");
    return outcome;
  } catch (error) {
    // The first error is the one to tell; a connection that is gone has rolled back by itself.
    await client.query("rollback").catch(() => undefined);
    throw error;
  }
}

async function applyBatch(client: pg.ClientBase, batch: EventBatch): Promise<BatchOutcome> {
  const { stream, streamCreated, schema = LIVE_SCHEMA } = batch;
  const checkpoint = await lockCheckpoint(client, { stream, streamCreated, schema });
  if (checkpoint === null) return { outcome: "paused" };
  assertSameStream(stream, checkpoint, streamCreated);
  const from = checkpoint.lastSequence;
  if (batch.after !== undefined && from < batch.after) return { outcome: "behind", checkpoint: from };
  const events = batch.events.filter(({ sequence }) => sequence > from);
  const to = events.at(-1)?.sequence;
  if (to === undefined) return { outcome: "applied", checkpoint: from, applied: 0, skipped: 0 };
  const skipped = await writeReadModels({ client, schema }, events);
  await advanceCheckpoint(client, { stream, schema, from, to });
  return { outcome: "applied", checkpoint: to, applied: events.length, skipped };
}

/** Each read model takes from the batch what is its own; an event type of a newer version is nobody's. */
async function writeReadModels(writer: ReadModelWriter, events: readonly StoredEvent[]): Promise<number> {
  const skippedOfRuns = await projectRuns(writer, events);
  await projectSyncs(writer, events);
  await projectConfigChanges(writer, events);
  await projectRefusedCommands(writer, events);
  const skippedOfDeliveries = await projectDeliveries(writer, events);
  await projectWebhooks(writer, events);
  await projectEndpoints(writer, events);
  await projectAlerts(writer, events);
  return skippedOfRuns + skippedOfDeliveries;
}
