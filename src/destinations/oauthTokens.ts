/** Access tokens by OAuth 2.0 client credentials: fetched through the same pools, kept in memory until they run out. */
import { createHash } from "node:crypto";
import type { HttpRequestDestination } from "../domain/configuration.ts";
import type { OauthSettings } from "../domain/httpRequestDestination.ts";
import { dispatcherOf, type SenderOptions, type SendResult } from "./destination.ts";
import { type HttpResult, post } from "./httpPost.ts";
import { judge } from "./verdict.ts";

/** A token, or what it means for the batch that there is none. */
export type TokenResult = { ok: true; token: string } | { ok: false; result: NotAccepted };
type NotAccepted = Exclude<SendResult, { kind: "accepted" }>;

/** A token endpoint that does not say how long its token lives: it is renewed after this, or when it is refused, ms. */
const DEFAULT_LIFETIME_MS = 3_600_000;
/** A token is renewed so much before its end, or after nine tenths of a short life, ms. */
const EARLY_MS = 60_000;
const MAX_ANSWER_BYTES = 65_536;
/** Kept at once, so that destinations that come and go leave nothing behind (I10). */
const MAX_KEPT = 1_000;

interface Kept {
  token: string;
  until: number;
}

/** The tokens of one process. Never logged, never in an exchange, an error or an event. */
export class OauthTokens {
  readonly #options: SenderOptions;
  readonly #now: () => number;
  readonly #kept = new Map<string, Kept>();
  readonly #asking = new Map<string, Promise<TokenResult>>();

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** A token that has not run out and is not `refused`; who asks at the same time shares one request. */
  async get(
    destination: HttpRequestDestination,
    oauth: OauthSettings,
    { refused = null, signal }: { refused?: string | null; signal?: AbortSignal | undefined } = {},
  ): Promise<TokenResult> {
    const key = keyOf(destination, oauth);
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.until > this.#now() && kept.token !== refused) {
      return { ok: true, token: kept.token };
    }
    signal?.throwIfAborted();
    let asking = this.#asking.get(key);
    if (asking === undefined) {
      asking = this.#ask(destination, oauth, key).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    return asking;
  }

  async #ask(destination: HttpRequestDestination, oauth: OauthSettings, key: string): Promise<TokenResult> {
    const { settings, secrets } = destination;
    const secret = secrets.oauth_client_secret ?? "";
    const answer = await post({
      url: oauth.token_url,
      method: "POST",
      ...tokenRequest(oauth, secret, this.#options.version),
      secretValues: secret === "" ? [] : [secret],
      timeoutMs: settings.timeout_seconds * 1000,
      dispatcher: dispatcherOf(this.#options, secrets.tls),
      wholeBodyBytes: MAX_ANSWER_BYTES,
    });
    const kept = readToken(answer, this.#now());
    if (kept === null) return { ok: false, result: withoutToken(answer) };
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(key, kept);
    return { ok: true, token: kept.token };
  }
}

/** Changed credentials are another key, so that no token outlives them. */
function keyOf({ id, secrets }: HttpRequestDestination, oauth: OauthSettings): string {
  const secret = createHash("sha256")
    .update(secrets.oauth_client_secret ?? "")
    .digest("base64");
  return JSON.stringify([id, oauth, secret]);
}

/** Source: RFC 6749, 2.3.1 and 4.4.2. */
function tokenRequest(
  { client_id: id, scopes, send_credentials: place }: OauthSettings,
  secret: string,
  version: string,
): { headers: Record<string, string>; body: Buffer } {
  const form = new URLSearchParams({ grant_type: "client_credentials" });
  if (scopes.length > 0) form.set("scope", scopes.join(" "));
  const headers: Record<string, string> = {
    accept: "application/json",
    "content-type": "application/x-www-form-urlencoded",
    "user-agent": `egret/${version}`,
  };
  if (place === "header") {
    const credentials = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`;
    headers["authorization"] = `Basic ${Buffer.from(credentials).toString("base64")}`;
  } else {
    form.set("client_id", id);
    form.set("client_secret", secret);
  }
  return { headers, body: Buffer.from(form.toString()) };
}

function readToken(answer: HttpResult, nowMs: number): Kept | null {
  if (answer.kind === "failed" || answer.httpStatus !== 200 || answer.body === null) return null;
  const said = parse(answer.body);
  const { access_token: token, expires_in: seconds } = said;
  // Anything else could not stand in a header.
  if (typeof token !== "string" || !/^[\x21-\x7e]{1,16000}$/.test(token)) return null;
  const lifetimeMs = Number(seconds) > 0 ? Number(seconds) * 1000 : DEFAULT_LIFETIME_MS;
  return { token, until: nowMs + Math.max(lifetimeMs - EARLY_MS, lifetimeMs * 0.9) };
}

function parse(body: Buffer): Record<string, unknown> {
  try {
    const said: unknown = JSON.parse(body.toString("utf8"));
    return typeof said === "object" && said !== null ? (said as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/**
 * An endpoint that refuses our credentials stands for a destination that does: 401, by which the run ends after some
 * in a row. Nothing of the answer is kept but its error code (RFC 6749, 5.2), which is no secret.
 */
function withoutToken(answer: HttpResult): NotAccepted {
  const { startedAt, durationMs, exchange } = answer;
  const { call, split } = exchange;
  const hidden = { call, requestHeaders: {}, responseHeaders: null, responseBody: null, split };
  const timing = { startedAt, durationMs, exchange: hidden };
  const judged = judge(answer);
  if (judged.kind === "retryable") {
    const error = `no access token: ${judged.error}`;
    return { ...judged, error, statusMessage: error, ...timing };
  }
  const status = answer.kind === "response" ? answer.httpStatus : 0;
  const code = answer.kind === "response" && answer.body !== null ? parse(answer.body)["error"] : undefined;
  const words = typeof code === "string" && /^[a-z_]{1,40}$/.test(code) ? `, ${code}` : "";
  const error = `no access token: the token endpoint answered HTTP ${status}${words}`;
  return { kind: "refused", httpStatus: 401, error, statusMessage: error, ...timing };
}
