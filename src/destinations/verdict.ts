/** What an answer, or none, means for the batch that was sent: the same for every kind that speaks HTTP. */

import { parseRetryAfter } from "../domain/retryPolicy.ts";
import type { SendResult, TestResult } from "./destination.ts";
import type { HttpResult } from "./httpPost.ts";
import { type AnsweredRows, rowErrorsOf } from "./rowResults.ts";

/** So many characters of an answer stand in a row's status message. Source: ours; behaviour.md 12.5. */
const MESSAGE_CHARACTERS = 500;

/** First of possibly several values of a header. */
function single(value: string | string[] | undefined): string | null {
  return (Array.isArray(value) ? value[0] : value) ?? null;
}

/**
 * What came of a batch. Source: behaviour.md 5.8 and 12.2. With `rows`, an answer of 2xx is read row by row.
 */
export function judge(result: HttpResult, rows?: AnsweredRows): SendResult {
  const { startedAt, durationMs, exchange } = result;
  const timing = { startedAt, durationMs, exchange };
  if (result.kind === "failed") {
    const { error } = result;
    return {
      kind: "retryable",
      httpStatus: null,
      error,
      statusMessage: error,
      retryAfterMs: null,
      rateLimited: false,
      ...timing,
    };
  }
  const { httpStatus } = result;
  if (httpStatus >= 200 && httpStatus < 300) {
    if (rows === undefined) return { kind: "accepted", httpStatus, ...timing };
    const rowErrors = rowErrorsOf(result.body, rows);
    return { kind: "accepted", httpStatus, rowErrors, ...timing };
  }
  const error = `HTTP ${httpStatus}`;
  // Half a surrogate pair is no character.
  const excerpt = result.bodyExcerpt.slice(0, MESSAGE_CHARACTERS).toWellFormed();
  const statusMessage = excerpt === "" ? error : `${error}: ${excerpt}`;
  if (httpStatus !== 429 && httpStatus < 500)
    return { kind: "refused", httpStatus, error, statusMessage, ...timing };
  const retryAfterMs = parseRetryAfter(single(result.headers["retry-after"]), new Date());
  return {
    kind: "retryable",
    httpStatus,
    error,
    statusMessage,
    retryAfterMs,
    rateLimited: httpStatus === 429,
    ...timing,
  };
}

/** What came of a connection test; `wanted` says which statuses pass, in the words of the message. */
export function testVerdict(
  result: HttpResult,
  wanted: { passes(httpStatus: number): boolean; words: string },
): TestResult {
  if (result.kind === "failed") {
    const message = `The destination did not answer the test: ${result.error}.`;
    return { ok: false, httpStatus: null, message };
  }
  const { httpStatus } = result;
  const answered = `The destination answered the test with HTTP ${httpStatus}`;
  if (wanted.passes(httpStatus)) return { ok: true, httpStatus, message: `${answered}.` };
  return { ok: false, httpStatus, message: `${answered}; ${wanted.words} is expected.` };
}
