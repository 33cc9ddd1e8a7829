/** What configuration asks of a header that a person wrote: no line can be smuggled in, none of ours replaced. */

/** Longer, and common servers refuse the request. Source: ours. */
const MAX_VALUE_BYTES = 4_096;

/** They say where a message ends or what the connection does; only the HTTP client may write them. */
const FRAMING: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Egret writes them; receivers trust them. Source: behaviour.md 5.3 and 6.4. */
const OURS: ReadonlySet<string> = new Set([
  "content-encoding",
  "content-type",
  "idempotency-key",
  "traceparent",
  "tracestate",
  "user-agent",
  "webhook-id",
  "webhook-signature",
  "webhook-timestamp",
  "x-delivery-attempt",
  "x-delivery-id",
  "x-event-id",
  "x-signature",
  "x-webhook-id",
]);

/** What is wrong with a header, in one sentence that never quotes the value, or null. */
export function headerProblem(name: string, value: string): string | null {
  // Source: RFC 9110, token.
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/.test(name)) {
    return "A header's name is made of letters, digits and hyphens, at most 256.";
  }
  const lower = name.toLowerCase();
  if (FRAMING.has(lower) || lower.startsWith("proxy-"))
    return `The header "${name}" belongs to the connection and cannot be set.`;
  if (OURS.has(lower)) return `The header "${name}" is written by Egret; choose another name.`;
  if (/[\r\n]/.test(value)) return `The value of "${name}" holds a line break; write it on one line.`;
  if (!/^[\t\u0020-\u007e]*$/.test(value)) {
    return `The value of "${name}" holds a character that is not plain ASCII; encode it.`;
  }
  if (value.trim() !== value)
    return `The value of "${name}" begins or ends with a space, which receivers drop; remove it.`;
  return value.length > MAX_VALUE_BYTES
    ? `The value of "${name}" is longer than ${MAX_VALUE_BYTES} bytes.`
    : null;
}
