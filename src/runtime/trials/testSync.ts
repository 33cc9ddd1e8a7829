/** A test run in the hands of a worker: one record goes to the destination, and nothing is remembered but what was said. */
import type {
  BatchRequest,
  DestinationSender,
  SendResult,
  StoredRequest,
} from "../../destinations/destination.ts";
import type { Destination, Sync } from "../../domain/configuration.ts";
import { RunFailure } from "../../domain/errors.ts";
import { joinUrl } from "../../domain/requestPath.ts";
import type { TestReport } from "../../domain/trial.ts";
import { oneRowRequest, type PreviewedRequest } from "../../engine/preview.ts";
import { keepTestExchange, type TestExchange, wantedIdentifier } from "../../engine/trials.ts";
import type { OpenDatabase } from "../../projections/database.ts";
import { redactUrl } from "../../security/redact.ts";
import { orAborted } from "../runs/orAborted.ts";
import type { TrialFound } from "./dryRun.ts";

/** What is sent, and how. */
export interface TestWork {
  database: OpenDatabase;
  sync: Sync;
  runId: number;
  sender: DestinationSender;
  at: Date;
  traceparent: string | undefined;
  signal: AbortSignal;
}

/**
 * Sends one record once, whatever the rate limit: nothing is tried again.
 * @throws RunFailure when there is no record to send, or the destination is paused.
 */
export async function sendTestRecord(work: TestWork): Promise<TrialFound> {
  const { database, sync, runId, at, signal } = work;
  const { destination } = sync;
  if (destination.paused === true) {
    throw new RunFailure(
      "CONFIG_INVALID",
      `Destination ${destination.name} is paused: nothing is sent to it`,
      `Resume it first: egret destination resume ${destination.name}`,
    );
  }
  const identifier = await wantedIdentifier(database.db, runId);
  const made = await orAborted(signal, oneRowRequest({ sync, runId, at }, identifier));
  const request = made.request === null ? null : (JSON.parse(made.request) as StoredRequest);
  const batch: BatchRequest = {
    body: made.body,
    request,
    keys: made.keys,
    idempotencyKey: `${runId}-1`,
    traceparent: work.traceparent,
    signal,
  };
  const answer = await work.sender.sendBatch(destination, batch);
  await keepTestExchange(database.db, runId, exchangeOf(destination, made, answer));
  const test = reportOf(answer);
  const isJudged = test.outcome !== "unavailable";
  return {
    destination_id: destination.id,
    full_sync: false,
    full_sync_reasons: [],
    source_record_count: null,
    source_record_updates: null,
    source_record_deletes: null,
    source_record_invalids: null,
    records_processed: isJudged ? 1 : 0,
    records_updated: test.outcome === "accepted" ? 1 : 0,
    records_failed: test.outcome === "rejected" ? 1 : 0,
    dry: null,
    test,
  };
}

/** No word of the answer: it stands in the log (I11). */
function reportOf(answer: SendResult): TestReport {
  const http_status = answer.httpStatus;
  if (answer.kind === "accepted") {
    const isTaken = answer.rowErrors === undefined || answer.rowErrors.every((error) => error === null);
    if (isTaken) return { outcome: "accepted", http_status, error: null };
    return { outcome: "rejected", http_status, error: "the answer says that the row was not taken" };
  }
  const outcome = answer.kind === "refused" ? "rejected" : "unavailable";
  return { outcome, http_status, error: answer.error };
}

function exchangeOf(destination: Destination, made: PreviewedRequest, answer: SendResult): TestExchange {
  const { exchange, httpStatus, durationMs } = answer;
  const shown = shownRequest(destination, made);
  return {
    request: { ...shown, headers: exchange.requestHeaders, body: made.body.toString("utf8") },
    response: {
      http_status: httpStatus,
      headers: exchange.responseHeaders,
      body: exchange.responseBody,
      error: answer.kind === "accepted" ? null : answer.error,
      duration_ms: Math.round(durationMs),
    },
  };
}

/** Method and address of a request as they may be shown. */
export function shownRequest(
  { settings }: Destination,
  { request }: Pick<PreviewedRequest, "request">,
): { method: string; url: string } {
  if (request === null) return { method: settings.method, url: redactUrl(settings.url) };
  const { method, path } = JSON.parse(request) as StoredRequest;
  return { method, url: joinUrl(redactUrl(settings.url), path) };
}
