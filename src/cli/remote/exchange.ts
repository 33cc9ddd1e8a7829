/** What was said on the wire, from the API's form into that of commands. */
import type { Schemas } from "../../client/client.ts";
import type { KeptExchange } from "../../projections/exchanges.ts";

/** Without what the attempt tells itself. */
export function exchangeOf(
  told: Pick<Schemas["Exchange"], "request_headers" | "response_headers" | "response_body" | "timing">,
): Omit<KeptExchange, "call"> {
  const { request_headers: headers, response_headers, response_body, timing } = told;
  return {
    requestHeaders: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])),
    responseHeaders: response_headers,
    responseBody: response_body,
    split: {
      dnsMs: timing.dns_ms,
      connectMs: timing.connect_ms,
      tlsMs: timing.tls_ms,
      firstByteMs: timing.first_byte_ms,
      totalMs: timing.total_ms,
    },
  };
}
