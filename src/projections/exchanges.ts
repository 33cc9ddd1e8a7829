/** Exchanges in the form in which many of them are kept together, and the way back to those of one delivery. */
import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";
import type { Kysely } from "kysely";
import type { Database } from "./database.ts";

/** The request and the answer of one attempt as they may be kept: whoever made them has replaced secrets. */
export interface KeptExchange {
  /** Not there where an earlier version kept it. */
  call?: {
    method: string;
    url: string;
    /** Null when no status line came back; then `error` says why. */
    httpStatus: number | null;
    error: string | null;
  };
  requestHeaders: Record<string, string>;
  /** Null when no status line came back. */
  responseHeaders: Record<string, string | string[] | undefined> | null;
  /** The beginning of the answer's body; null when there was no answer. */
  responseBody: string | null;
  /** ms; null for a step that was not needed or not reached. */
  split: {
    dnsMs: number | null;
    connectMs: number | null;
    tlsMs: number | null;
    firstByteMs: number | null;
    totalMs: number;
  };
}

/** An exchange with the attempt that it was. */
export interface MadeExchange {
  targetKind: "webhook" | "destination";
  targetId: number;
  deliveryId: string;
  attempt: number;
  startedAt: Date;
  exchange: KeptExchange;
}

/** An exchange as it was kept. */
export type ReadExchange = Pick<MadeExchange, "attempt" | "startedAt" | "exchange">;

/** The delivery whose exchanges are wanted, with the attempts that are known of it. */
export interface WantedExchanges extends Pick<MadeExchange, "targetKind" | "targetId" | "deliveryId"> {
  attempts: readonly { startedAt: Date; durationMs: number }[];
}

/** One line of a chunk. */
export type ExchangeLine = [
  target: string,
  deliveryId: string,
  attempt: number,
  startedAtMs: number,
  exchange: [
    requestHeaders: KeptExchange["requestHeaders"],
    responseHeaders: KeptExchange["responseHeaders"],
    responseBody: string | null,
    split: (number | null)[],
    call?: [method: string, url: string, httpStatus: number | null, error: string | null],
  ],
];

/** How long after its end an exchange may have waited until its chunk was closed, ms. */
export const CLOSED_WITHIN_MS = 15_000;
/** A request whose outcome a crash swallowed came so long before the attempt that repeats it, ms. */
const CRASH_BEFORE_MS = 30_000;
/** Chunks read at once. */
const PAGE = 50;

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
/** The quickest: headers repeat so much that no more is needed. */
const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

const targetOf = ({ targetKind, targetId }: Pick<MadeExchange, "targetKind" | "targetId">): string =>
  `${targetKind}/${targetId}`;

/** Microseconds are as fine as anyone looks. */
const micros = (ms: number | null): number | null => (ms === null ? null : Math.round(ms * 1000) / 1000);

/** One line of a chunk, its end included. */
export function exchangeLine(made: MadeExchange): string {
  const { deliveryId, attempt, startedAt, exchange } = made;
  const { requestHeaders, responseHeaders, responseBody, split, call } = exchange;
  const { dnsMs, connectMs, tlsMs, firstByteMs, totalMs } = split;
  const times = [dnsMs, connectMs, tlsMs, firstByteMs, totalMs].map(micros);
  const facts: ExchangeLine[4] = [requestHeaders, responseHeaders, responseBody, times];
  if (call !== undefined) facts.push([call.method, call.url, call.httpStatus, call.error]);
  const line: ExchangeLine = [targetOf(made), deliveryId, attempt, startedAt.getTime(), facts];
  return `${JSON.stringify(line)}\n`;
}

/** The lines of a chunk as they are kept. */
export function packLines(lines: string): Promise<Buffer> {
  return compress(lines, LEVEL);
}

/**
 * Exchanges of a delivery in the order they were made, as far as retention has left them. An attempt that a crash made
 * happen twice has two.
 */
export async function readExchanges(db: Kysely<Database>, wanted: WantedExchanges): Promise<ReadExchange[]> {
  const found = new Map<string, ReadExchange>();
  for (const { startedAt, durationMs } of wanted.attempts) {
    const from = new Date(startedAt.getTime() - CRASH_BEFORE_MS);
    const to = new Date(startedAt.getTime() + durationMs + CLOSED_WITHIN_MS);
    for await (const lines of chunksBetween(db, targetOf(wanted), { from, to })) {
      for (const [target, deliveryId, attempt, startedAtMs, exchange] of lines) {
        if (deliveryId !== wanted.deliveryId || target !== targetOf(wanted)) continue;
        // A write whose acknowledgement was lost was repeated: the two are the same.
        const read = { attempt, startedAt: new Date(startedAtMs), exchange: exchangeOf(exchange) };
        found.set(`${startedAtMs} ${attempt}`, read);
      }
    }
  }
  return [...found.values()].sort(
    (a, b) => a.startedAt.getTime() - b.startedAt.getTime() || a.attempt - b.attempt,
  );
}

/** An exchange from its line. */
export function exchangeOf([
  requestHeaders,
  responseHeaders,
  responseBody,
  times,
  call,
]: ExchangeLine[4]): KeptExchange {
  const [dnsMs = null, connectMs = null, tlsMs = null, firstByteMs = null, totalMs] = times;
  const split = { dnsMs, connectMs, tlsMs, firstByteMs, totalMs: totalMs ?? 0 };
  const kept = { requestHeaders, responseHeaders, responseBody, split };
  if (call === undefined) return kept;
  const [method, url, httpStatus, error] = call;
  return { call: { method, url, httpStatus, error }, ...kept };
}

/** The lines of a chunk as texts. */
export async function unpackLines(lines: Buffer): Promise<string[]> {
  return (await decompress(lines)).toString("utf8").trimEnd().split("\n");
}

async function* chunksBetween(
  db: Kysely<Database>,
  target: string,
  { from, to }: { from: Date; to: Date },
): AsyncGenerator<ExchangeLine[]> {
  for (let after = 0; ; after += PAGE) {
    const rows = await db
      .selectFrom("egret.exchanges")
      .select("lines")
      .where("kept_at", ">=", from)
      .where("kept_at", "<=", to)
      .where(({ eb, ref }) => eb(eb.val(target), "=", eb.fn.any(ref("targets"))))
      .orderBy("kept_at")
      .limit(PAGE)
      .offset(after)
      .execute();
    for (const { lines } of rows) {
      yield (await unpackLines(lines)).map((line) => JSON.parse(line) as ExchangeLine);
    }
    if (rows.length < PAGE) return;
  }
}
