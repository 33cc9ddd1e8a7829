/** Rows of runs over the API. */
import { ApiError, type Client, each, type Schemas } from "../../client/client.ts";
import { Unavailable } from "../../domain/errors.ts";
import {
  INVALID_STATUSES,
  RECORD_STATUSES,
  type RecordStatus,
  type RowRecord,
} from "../../engine/records.ts";
import type { RecordsDesk, WantedRecords } from "../desks.ts";
import { findSync, firstOf } from "./findNamed.ts";
import { readRun } from "./followRun.ts";
import { dateOrNull } from "./instants.ts";

/** Runs of a sync that are searched for a key. Source: ours; as over our Postgres. */
const MOST_RUNS = 200;

/** The desk. */
export function remoteRecordsDesk(client: Client): RecordsDesk {
  return {
    list: async ({ after, limit, isCounted, ...wanted }) => {
      const { runId: id } = wanted;
      await readRun(client, id);
      const filters = filtersOf(wanted);
      const query = { ...filters, cursor: after, per_page: Math.min(limit + 1, 100) };
      const found = await firstOf(each(client.listSyncRunRecords, { path: { id }, query }), limit + 1);
      const counts = isCounted ? await countsOf(client, wanted) : null;
      return { found: found.map(rowRecord), counts, isKept: true };
    },
    async *export(wanted, { format, escapesFormulas }, onBegin) {
      const { runId: id } = wanted;
      await readRun(client, id);
      const query = {
        ...filtersOf(wanted),
        format,
        escape_formulas: escapesFormulas ? "true" : "false",
      } as const;
      const { urls } = await client.getSyncRunRecordsExport({ path: { id }, query });
      onBegin({ isKept: true });
      for (const url of urls) yield* download(url);
    },
    find: async ({ key, limit, ...wanted }) => {
      const { id } = await findSync(client, wanted);
      const found: RowRecord[] = [];
      for (const run of await firstOf(each(client.listSyncRuns, { path: { id } }), MOST_RUNS)) {
        const query = { primary_identifier: key };
        const rows = each(client.listSyncRunRecords, { path: { id: run.id }, query });
        const more = await firstOf(rows, limit - found.length).catch(nothingWhenGone);
        found.push(...more.map(rowRecord));
        if (found.length >= limit) break;
      }
      return found;
    },
  };
}

/** Past its retention a run has no rows any more. */
function nothingWhenGone(error: unknown): [] {
  if (error instanceof ApiError && error.status === 410) return [];
  throw error;
}

function filtersOf({ statuses, identifier, operation }: Omit<WantedRecords, "runId">) {
  // More than one are those of rows that were set aside: the command line has no other word for several.
  const status = statuses === undefined || statuses.length === 1 ? statuses?.[0] : ("invalid" as const);
  return { status, operation, primary_identifier: identifier };
}

async function countsOf(client: Client, wanted: WantedRecords): Promise<ReadonlyMap<RecordStatus, number>> {
  const { runId: id, statuses = RECORD_STATUSES, identifier, operation } = wanted;
  const counts = new Map<RecordStatus, number>();
  for (const status of statuses) {
    // Rows that were set aside were not sent as anything.
    if (operation !== undefined && INVALID_STATUSES.some((each) => each === status)) continue;
    const query = { status, operation, primary_identifier: identifier };
    const { data } = await client.getSyncRunRecordsCount({ path: { id }, query });
    counts.set(status, data[0]?.record_count ?? 0);
  }
  return counts;
}

function rowRecord(record: Schemas["Record"]): RowRecord {
  const { record_payload: payload, batch_started_at, batch_completed_at } = record;
  return {
    ...record,
    record_payload: payload === null || payload === undefined ? null : JSON.stringify(payload),
    batch_started_at: dateOrNull(batch_started_at),
    batch_completed_at: dateOrNull(batch_completed_at),
  };
}

/** The address is as secret as the rows: no message names it. @throws Unavailable when it cannot be fetched whole. */
async function* download(url: string): AsyncIterable<Uint8Array> {
  try {
    const answer = await fetch(url, { redirect: "error" });
    if (!answer.ok || answer.body === null)
      throw new Unavailable(`the export answered with HTTP ${answer.status}`);
    yield* answer.body;
  } catch (cause) {
    if (cause instanceof Unavailable) throw cause;
    const { host } = new URL(url);
    throw new Unavailable(
      `the export cannot be fetched from ${host}: is that the address in EGRET_PUBLIC_URL?`,
      { cause },
    );
  }
}
