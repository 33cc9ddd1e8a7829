/** What was said on the wire in one attempt, as the API shows it. */
import { z } from "@hono/zod-openapi";
import type { KeptExchange, ReadExchange } from "../../../projections/exchanges.ts";
import { instant } from "../answers.ts";

/** Headers by name, in lower case. */
export const wireHeadersSchema = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

/** Where the time went. */
export const timingSchema = z
  .object({
    dns_ms: z.number().nullable(),
    connect_ms: z.number().nullable(),
    tls_ms: z.number().nullable(),
    first_byte_ms: z.number().nullable(),
    total_ms: z.number(),
  })
  .openapi("Timing", { description: "null: not needed (a kept connection), or not reached" });

export const exchangeSchema = z
  .object({
    started_at: z.iso.datetime(),
    method: z.string().nullable(),
    url: z.string().nullable().openapi({ description: "without the values of its query" }),
    http_status: z
      .int()
      .nullable()
      .openapi({ description: "null when no answer came: then `error` says why" }),
    error: z.string().nullable(),
    request_headers: wireHeadersSchema.openapi({ description: "secrets are replaced" }),
    response_headers: wireHeadersSchema.nullable(),
    response_body: z.string().nullable().openapi({ description: "its first 4 KiB" }),
    timing: timingSchema,
  })
  .openapi("Exchange");

/** An exchange as clients read it. */
export function presentExchange({ startedAt, exchange }: ReadExchange): z.infer<typeof exchangeSchema> {
  const { call, requestHeaders, responseHeaders, responseBody, split } = exchange;
  return {
    started_at: instant(startedAt),
    method: call?.method ?? null,
    url: call?.url ?? null,
    http_status: call?.httpStatus ?? null,
    error: call?.error ?? null,
    request_headers: requestHeaders,
    response_headers: responseHeaders === null ? null : shownHeaders(responseHeaders),
    response_body: responseBody,
    timing: presentTiming(split),
  };
}

/** The times as clients read them. */
export function presentTiming(split: KeptExchange["split"]): z.infer<typeof timingSchema> {
  return {
    dns_ms: split.dnsMs,
    connect_ms: split.connectMs,
    tls_ms: split.tlsMs,
    first_byte_ms: split.firstByteMs,
    total_ms: split.totalMs,
  };
}

/** Headers without those that have no value. */
export function shownHeaders(
  headers: NonNullable<KeptExchange["responseHeaders"]>,
): z.infer<typeof wireHeadersSchema> {
  return Object.fromEntries(
    Object.entries(headers).filter((each): each is [string, string | string[]] => each[1] !== undefined),
  );
}
