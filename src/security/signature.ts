/** How Egret signs what it sends, so that a receiver can tell our requests from anybody else's. */
import { createHmac, createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { InvalidInput } from "../domain/errors.ts";

const SECRET_PREFIX = "whsec_";
const SECRET_BYTES = 32;

/** A secret as the two schemes key it; `standard` is null when its text is not of that form. */
interface SigningKeys {
  text: KeyObject;
  standard: KeyObject | null;
}

/** Making a key costs five times what signing with it does, and a busy worker signs with the same few. */
const recentKeys = new Map<string, SigningKeys>();
const MAX_RECENT_KEYS = 1_000;

function keysOf(secret: string): SigningKeys {
  const known = recentKeys.get(secret);
  if (known !== undefined) return known;
  if (recentKeys.size >= MAX_RECENT_KEYS) recentKeys.clear();
  const bytes = secret.startsWith(SECRET_PREFIX)
    ? Buffer.from(secret.slice(SECRET_PREFIX.length), "base64")
    : null;
  const keys = {
    text: createSecretKey(Buffer.from(secret, "utf8")),
    standard: bytes === null || bytes.length === 0 ? null : createSecretKey(bytes),
  };
  recentKeys.set(secret, keys);
  return keys;
}

/**
 * The value of `X-Signature`: padded standard base64 of HMAC-SHA256 over the raw body, keyed by the UTF-8 bytes of
 * the secret's text, prefix included. Source: seed; behaviour.md 6.5.
 */
export function signBody(secret: string, body: Uint8Array): string {
  return createHmac("sha256", keysOf(secret).text).update(body).digest("base64");
}

/** What a Standard Webhooks signature covers. */
export interface StandardWebhook {
  /** `whsec_` and base64 of the key. */
  secret: string;
  /** Value of the `webhook-id` header. */
  id: string;
  /** Value of the `webhook-timestamp` header, whole seconds since 1970. */
  timestampSeconds: number;
  /** The bytes that are sent. */
  body: Uint8Array;
}

/**
 * The value of `webhook-signature`: `v1,` and base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`, keyed by the
 * bytes that follow `whsec_` in base64. Source: the public Standard Webhooks specification.
 * @throws InvalidInput when the secret is not of that form.
 */
export function signStandardWebhook({ secret, id, timestampSeconds, body }: StandardWebhook): string {
  const key = keysOf(secret).standard;
  if (key === null) {
    throw new InvalidInput(`a Standard Webhooks secret is "${SECRET_PREFIX}" and base64; this one is not`);
  }
  const mac = createHmac("sha256", key).update(`${id}.${timestampSeconds}.`, "utf8").update(body);
  return `v1,${mac.digest("base64")}`;
}

/** A new webhook secret: one text that serves both schemes, since X-Signature is keyed by the bytes of the whole text. */
export function newWebhookSecret(): string {
  return SECRET_PREFIX + randomBytes(SECRET_BYTES).toString("base64");
}
