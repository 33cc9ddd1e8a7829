/** Reads what was said on the wire, and turns an exchange into the line by which COPY writes it. */
import type { Kysely } from "kysely";
import type { Database } from "./database.ts";

/** The request and the answer of one attempt as they may be kept: whoever made them has replaced secrets. */
export interface KeptExchange {
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

/**
 * Exchanges of a delivery in the order they were made, as far as retention has left them. An attempt that a crash made
 * happen twice has two.
 */
export async function readExchanges(
  db: Kysely<Database>,
  key: Pick<MadeExchange, "targetKind" | "targetId" | "deliveryId">,
): Promise<ReadExchange[]> {
  const rows = await db
    .selectFrom("egret.exchanges")
    .selectAll()
    // A write whose acknowledgement was lost was repeated: the two rows are the same.
    .distinctOn(["started_at", "attempt"])
    .where("delivery_id", "=", key.deliveryId)
    .where("target_kind", "=", key.targetKind)
    .where("target_id", "=", key.targetId)
    .orderBy("started_at")
    .orderBy("attempt")
    .execute();
  return rows.map((row) => ({
    attempt: row.attempt,
    startedAt: row.started_at,
    exchange: {
      requestHeaders: row.request_headers,
      responseHeaders: row.response_headers,
      responseBody: row.response_body,
      split: {
        dnsMs: row.dns_ms,
        connectMs: row.connect_ms,
        tlsMs: row.tls_ms,
        firstByteMs: row.first_byte_ms,
        totalMs: row.total_ms,
      },
    },
  }));
}

/** Takes lines of `copyLine`, in the order of its columns. */
export const COPY_EXCHANGES = `copy egret.exchanges (target_kind, target_id, delivery_id, attempt, started_at,
  request_headers, response_headers, response_body, dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms) from stdin`;

/** One line of COPY's text format, its end included. Text, since it is what costs our process least. */
export function copyLine({
  targetKind,
  targetId,
  deliveryId,
  attempt,
  startedAt,
  exchange,
}: MadeExchange): string {
  const { requestHeaders, responseHeaders, responseBody, split } = exchange;
  const body = responseBody === null ? "\\N" : field(storable(responseBody));
  const answer = responseHeaders === null ? "\\N" : json(responseHeaders);
  return (
    `${targetKind}\t${targetId}\t${field(deliveryId)}\t${attempt}\t${startedAt.toISOString()}\t` +
    `${json(requestHeaders)}\t${answer}\t${body}\t${ms(split.dnsMs)}\t${ms(split.connectMs)}\t${ms(split.tlsMs)}\t` +
    `${ms(split.firstByteMs)}\t${ms(split.totalMs)}\n`
  );
}

/** Microseconds are as fine as anyone looks. */
function ms(value: number | null): string {
  return value === null ? "\\N" : String(Math.round(value * 1000) / 1000);
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" };

function field(text: string): string {
  return /[\\\t\n\r]/.test(text) ? text.replaceAll(/[\\\t\n\r]/g, (special) => ESCAPES[special] ?? "") : text;
}

/** JSON has no tabs and no line ends of its own, but it can have what Postgres' JSON has not: NUL and half surrogates. */
function json(headers: object): string {
  let text = JSON.stringify(headers);
  if (!text.includes("\\")) return text;
  if (/\\u(0000|d[89a-f])/.test(text)) text = JSON.stringify(headers, storableLeaf);
  return field(text);
}

function storable(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\uFFFD");
}

function storableLeaf(_key: string, value: unknown): unknown {
  return typeof value === "string" ? storable(value) : value;
}
