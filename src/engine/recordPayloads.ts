/** Takes the body of a batch apart into the records of its rows, as JSON texts: a number keeps every digit it was sent with. */
import { cutRecords } from "./bodyRecords.ts";

/** What of a batch tells its rows. */
export interface SentBody {
  records: number;
  body: Buffer | null;
  /** As in a planned batch. */
  sourceRecords: Buffer | null;
  /** Null for a webhook. */
  request: string | null;
}

const OPEN_LIST = "[".charCodeAt(0);
const OPEN = "{".charCodeAt(0);

/** Begins the body of a webhook that is wrapped, see bodyFrame; a bare body begins with its list or its record. */
const WRAPPED = Buffer.from('{"api_version":1,"operation":"');
const DATA = '"data":';

/** The records in the order of the batch's keys; null when the body does not tell them. */
export function payloadsOf(batch: SentBody): string[] | null {
  const records = recordsOf(batch);
  return records?.length === batch.records ? records.map(lineOf) : null;
}

function recordsOf({ body, sourceRecords, request, records }: SentBody): Buffer[] | null {
  if (sourceRecords !== null) return cutRecords(sourceRecords)?.records ?? null;
  if (body === null) return null;
  if (body[0] === OPEN_LIST) return cutRecords(body)?.records ?? null;
  if (body[0] !== OPEN) return null;
  const isWrapped = request === null && body.subarray(0, WRAPPED.length).equals(WRAPPED);
  if (!isWrapped) return records === 1 ? [body] : null;
  // Its last member. What stands before holds no quote that is not escaped.
  const data = body.indexOf(DATA) + DATA.length;
  if (body[data] === OPEN_LIST) return cutRecords(body)?.records ?? null;
  return [body.subarray(data, body.length - 1)];
}

/** A column of type json keeps its line breaks; outside of a text, where alone they can stand, a space is as good. */
function lineOf(record: Buffer): string {
  const text = record.toString("utf8");
  return /[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, " ") : text;
}
