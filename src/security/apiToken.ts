/** Tokens of the management API: how they are made, what they look like, what they may do. */
import { hash, randomBytes } from "node:crypto";

/** What a token may do; each includes the ones before it. `operate` starts and cancels, `admin` configures. Source: ours. */
export const SCOPES = ["read", "operate", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** The prefix by which scanners of code and logs know a secret. Source: RFC 8959; api-clients.md 0. */
const PREFIX = "secret-token:";
const TOKEN_BYTES = 32;
const FORM = /^secret-token:[A-Za-z0-9_-]{43}$/;

/** A new token, 256 random bits. */
export function newApiToken(): string {
  return PREFIX + randomBytes(TOKEN_BYTES).toString("base64url");
}

/** Whether a text can be a token at all; what cannot is not looked up. */
export function isApiToken(text: string): boolean {
  return FORM.test(text);
}

/**
 * The form in which tokens are stored. A plain SHA-256 is right here, unlike for passwords: of 256 random bits none can
 * be guessed, so a slow hash would only make each request slow.
 */
export function apiTokenHash(token: string): Buffer {
  // As text and back: a third of what it costs to be given a buffer, and each request does it.
  return Buffer.from(hash("sha256", token, "binary"), "binary");
}

/** The scopes that are given, with all that they include, in order. */
export function withIncluded(scopes: readonly Scope[]): Scope[] {
  const highest = Math.max(...scopes.map((scope) => SCOPES.indexOf(scope)));
  return SCOPES.slice(0, highest + 1);
}
