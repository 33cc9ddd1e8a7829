/** The first requests of a sync as a run would send them: read and made by the code of a run, and written nowhere. */
import type { Sync } from "../domain/configuration.ts";
import { RunFailure } from "../domain/errors.ts";
import { postgresSource } from "../sources/postgres.ts";
import type { CompiledSync, SourceLimits, SourceSnapshot } from "../sources/source.ts";
import type { PlannedBatch, PlannedRow } from "./batchCutter.ts";
import { compileSync } from "./compileSync.ts";
import { arrayElements } from "./copyBinary.ts";
import { OPERATION_RULES } from "./operations.ts";
import { openCutter } from "./requestCutter.ts";
import { readFirstKeys, readSample } from "./sample.ts";

/** A preview waits no longer than this for one answer of the source, ms. */
export const PREVIEW_LIMITS: SourceLimits = { statementTimeoutMs: 30_000, connectTimeoutMs: 10_000 };

/** Rows looked at for the first one that can be sent. */
const CANDIDATES = 20;

/** One request as it would be sent. */
export interface PreviewedRequest {
  body: Buffer;
  /** Method, path and content type as JSON, where a body is not all of a request. */
  request: string | null;
  rows: number;
  /** Of its rows, in their order. */
  keys: string[];
}

/** What a preview found. */
export interface Preview {
  requests: PreviewedRequest[];
  /** Why rows among the first ones would be set aside: none of their values. */
  invalid: string[];
}

/** Ids and times that a run would have; a preview's are as good as any. */
export interface PreviewFacts {
  sync: Sync;
  runId: number;
  at: Date;
  signal?: AbortSignal;
}

/**
 * The first `rows` rows that the source gives, in requests. Nothing is sent, and what was sent before is not asked:
 * these are the rows of a run that sends all.
 * @throws RunFailure when the source does not answer, or the sync does not fit it.
 */
export async function previewSync(facts: PreviewFacts, rows: number): Promise<Preview> {
  const { sync, runId, at } = facts;
  return withSnapshot(sync, async (compiled, snapshot) => {
    const run = { runId, startedAt: at };
    const sample = await readSample({ snapshot, compiled, run, keys: null, limit: rows });
    const { requests, faults } = cut(facts, sample.rows);
    return { requests, invalid: [...sample.invalid, ...faults] };
  });
}

/**
 * The request with one row: the first in the order of keys that can be sent, or the one with the key.
 * @throws RunFailure when there is no such row, the source does not answer, or the sync does not fit it.
 */
export async function oneRowRequest(
  facts: PreviewFacts,
  identifier: string | null,
): Promise<PreviewedRequest> {
  const { sync, runId, at } = facts;
  return withSnapshot(sync, async (compiled, snapshot) => {
    const keys = identifier === null ? await readFirstKeys(snapshot, compiled, CANDIDATES) : [identifier];
    const run = { runId, startedAt: at };
    // One more, so that a key that several rows have is seen.
    const limit = keys.length + 1;
    const sample =
      keys.length === 0
        ? { rows: [], invalid: [] }
        : await readSample({ snapshot, compiled, run, keys, limit });
    if (identifier !== null && sample.rows.length > 1) throw noRow("Several rows have that key");
    const inOrder = sample.rows.sort((a, b) => Buffer.compare(a.key, b.key));
    const reasons = sample.invalid;
    for (const row of inOrder) {
      const { requests, faults } = cut(facts, [row]);
      const [request] = requests;
      if (request !== undefined) return request;
      reasons.push(...faults);
    }
    throw noRow(
      reasons[0] ??
        (identifier === null ? "The source has no valid row" : "The source has no row with that key"),
    );
  });
}

async function withSnapshot<T>(
  sync: Sync,
  use: (compiled: CompiledSync, snapshot: SourceSnapshot) => Promise<T>,
): Promise<T> {
  const compiled = await compileSync(sync, PREVIEW_LIMITS);
  const snapshot = await postgresSource.openSnapshot(sync.source, PREVIEW_LIMITS);
  try {
    return await use(compiled, snapshot);
  } finally {
    await snapshot.close();
  }
}

function cut(
  { sync, at }: PreviewFacts,
  rows: readonly PlannedRow[],
): { requests: PreviewedRequest[]; faults: string[] } {
  const requests: PreviewedRequest[] = [];
  const faults: string[] = [];
  const operation = OPERATION_RULES[sync.operation].batches;
  const cutter = openCutter({ sync, runAt: at, operation }, (batch) => requests.push(asRequest(batch)));
  for (const row of rows) if (!cutter.add(row)) faults.push(cutter.fault);
  cutter.flush();
  return { requests, faults };
}

function asRequest({ body, request, rows, keys }: PlannedBatch): PreviewedRequest {
  return { body: Buffer.from(body), request: request ?? null, rows, keys: arrayElements(keys).map(String) };
}

function noRow(message: string): RunFailure {
  return new RunFailure(
    "CONFIG_INVALID",
    `There is no row to send: ${message}`,
    "Look at the model, or name another key",
  );
}
