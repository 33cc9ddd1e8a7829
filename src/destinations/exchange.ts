/** What was said on the wire in one attempt, for people to inspect: secrets are replaced before anybody can store it. */

/** What was asked for and what came of it. */
export interface ExchangeCall {
  method: string;
  /** Without user, password and the values of its query. */
  url: string;
  /** Null when no status line came back. */
  httpStatus: number | null;
  /** Why there was no answer; null when there was one. */
  error: string | null;
}

/** One request and its answer. Kept in Postgres under a retention of its own, never in the log. */
export interface Exchange {
  call: ExchangeCall;
  /** As they were sent, names in lower case; values of secret headers are replaced. */
  requestHeaders: Record<string, string>;
  /** Null when no status line came back. */
  responseHeaders: Record<string, string | string[] | undefined> | null;
  /** The first 4 KiB of the answer's body as text; null when there was no answer. */
  responseBody: string | null;
  split: TimingSplit;
}

/** Where the time went, ms; null for a step that was not needed (a kept connection) or not reached. */
export interface TimingSplit {
  dnsMs: number | null;
  connectMs: number | null;
  tlsMs: number | null;
  /** From the start of the request to the status line. */
  firstByteMs: number | null;
  totalMs: number;
}

/** What stands in a secret's place. */
const HIDDEN = "***";

/** Shorter, a value is no secret worth the name, and would be found in every second body. */
const MIN_SECRET_LENGTH = 8;

/** Headers that carry secrets, or what only the receiver may check, whoever wrote them. Source: ours. */
const SECRET_HEADERS: ReadonlySet<string> = new Set([
  "authorization",
  "cookie",
  "proxy-authorization",
  "x-signature",
  "webhook-signature",
]);

/** Request headers as they may be shown, and the secrets in them. */
export interface ShownHeaders {
  headers: Record<string, string>;
  secrets: string[];
}

/** Replaces the values of secret headers; `configured` names, in lower case, those that hold secrets by configuration. */
export function hideSecretHeaders(
  headers: Readonly<Record<string, string>>,
  configured: readonly string[],
): ShownHeaders {
  const shown: Record<string, string> = {};
  const secrets: string[] = [];
  for (const name in headers) {
    const value = headers[name] ?? "";
    const lower = name.toLowerCase();
    const isSecret = SECRET_HEADERS.has(lower) || configured.includes(lower);
    shown[lower] = isSecret ? HIDDEN : value;
    if (!isSecret) continue;
    if (value.length >= MIN_SECRET_LENGTH) secrets.push(value);
    // `Bearer x`: a receiver that quotes its callers may quote x alone.
    const token = value.slice(value.lastIndexOf(" ") + 1);
    if (token.length >= MIN_SECRET_LENGTH && token !== value) secrets.push(token);
  }
  return { headers: shown, secrets };
}

/** A receiver may answer with what it was sent: our secrets are taken out of such an echo. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) {
    if (clean.length >= secret.length && clean.includes(secret)) clean = clean.replaceAll(secret, HIDDEN);
  }
  return clean;
}

/** The answer's headers as they may be shown: no cookies of the receiver's, no echo of our secrets. */
export function showResponseHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  secrets: readonly string[],
): Record<string, string | string[] | undefined> {
  const shown: Record<string, string | string[] | undefined> = {};
  for (const name in headers) {
    const value = headers[name];
    if (name === "set-cookie") shown[name] = HIDDEN;
    else if (typeof value === "string") shown[name] = withoutSecrets(value, secrets);
    else shown[name] = value?.map((part) => withoutSecrets(part, secrets));
  }
  return shown;
}

/** Bytes as text that Postgres keeps: what is no UTF-8 is replaced, and so is NUL. */
export function readableText(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  return text.includes("\u0000") ? text.replaceAll("\u0000", "\ufffd") : text;
}
