/** What must be true of the demo: each check either holds or says what does not. */
import { AppError } from "../../domain/errors.ts";
import { count } from "../format.ts";
import { DEMO_ORIGIN } from "./demoFile.ts";
import type { ReceivedRecord } from "./rowReceiver.ts";
import { measuredWaitMs, type SeenAttempt } from "./subscriber.ts";
import type { Airport } from "./warehouse.ts";

/** Something that the demo promises did not happen. */
export class CheckFailed extends AppError {
  constructor(message: string) {
    super("DEMO_CHECK_FAILED", `this does not hold: ${message}`);
  }
}

/** @throws CheckFailed unless it holds. */
export function must(holds: boolean, message: string): void {
  if (!holds) throw new CheckFailed(message);
}

/** @throws CheckFailed unless exactly these rows arrived, each once, with the values of the table. */
export function requireRows(records: readonly ReceivedRecord[], wanted: readonly Airport[]): void {
  const byId = new Map(records.map((record) => [record.unique_id, record]));
  must(byId.size === records.length, `${count(records.length - byId.size)} rows arrived more than once`);
  const missing = wanted.filter(({ iata }) => !byId.has(iata));
  must(missing.length === 0, `${count(missing.length)} of ${count(wanted.length)} rows did not arrive`);
  must(
    records.length === wanted.length,
    `${count(records.length - wanted.length)} rows arrived that were not to`,
  );
  const wrong = wanted.filter((row) => !isSame(byId.get(row.iata), row));
  must(wrong.length === 0, `${count(wrong.length)} rows arrived with other values than the table has`);
}

function isSame(record: ReceivedRecord | undefined, row: Airport): boolean {
  const { iata, state, ...same } = row;
  const wanted: Record<string, unknown> = { ...same, unique_id: iata, region: state, origin: DEMO_ORIGIN };
  const fields = Object.keys(wanted);
  return (
    record !== undefined &&
    Object.keys(record).length === fields.length &&
    fields.every((field) => record[field] === wanted[field])
  );
}

/** A retry with what was measured. */
export interface MeasuredRetry {
  event: string;
  attempt: number;
  delayMs: number;
  waitMs: number;
}

/** The retries of a subscriber, each measured. @throws CheckFailed when one came early (I6). */
export function requireRetries(
  attempts: readonly SeenAttempt[],
  delaysMs: readonly number[],
): MeasuredRetry[] {
  const retries: MeasuredRetry[] = [];
  for (const seen of attempts) {
    if (seen.attempt === 1) continue;
    const delayMs = delaysMs[seen.attempt - 2] ?? 0;
    const waitMs = measuredWaitMs(seen, attempts) ?? 0;
    must(waitMs >= delayMs, `retry ${seen.attempt - 1} waits ${delayMs} ms; it came after ${waitMs} ms`);
    retries.push({ event: seen.event, attempt: seen.attempt, delayMs, waitMs });
  }
  return retries;
}
