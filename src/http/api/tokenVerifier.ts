/** Finds out whom a token belongs to, quickly: a token that was good a moment ago is not looked up again. */
import { timingSafeEqual } from "node:crypto";
import type { ApiToken, HashedToken } from "../../configuration/apiTokens.ts";
import { apiTokenHash, isApiToken } from "../../security/apiToken.ts";

/** For so long a token that was found good is believed, ms: a revocation holds everywhere after that. Source: ours. */
const BELIEVED_MS = 3_000;
/** Beyond this many the one that was looked up first goes. */
const MAX_BELIEVED = 10_000;

/** What the verifier asks of the rest of Egret. */
export interface TokenDesk {
  /** Those of these hashes that are in force. */
  find(hashes: readonly Buffer[]): Promise<readonly HashedToken[]>;
  now(): Date;
}

interface Believed {
  token: HashedToken;
  untilMs: number;
}

interface Waiting {
  hash: Buffer;
  answer: Promise<ApiToken | null>;
  settle(token: ApiToken | null): void;
  fail(error: unknown): void;
}

/** Verifies tokens for one process. */
export class TokenVerifier {
  readonly #desk: TokenDesk;
  readonly #believed = new Map<string, Believed>();
  #waiting = new Map<string, Waiting>();
  #isLooking = false;

  constructor(desk: TokenDesk) {
    this.#desk = desk;
  }

  /** The token in force, or null. Answers without a promise where the token was good a moment ago. */
  verify(text: string): ApiToken | null | Promise<ApiToken | null> {
    if (!isApiToken(text)) return null;
    const hash = apiTokenHash(text);
    const key = hash.toString("latin1");
    const believed = this.#believed.get(key);
    if (believed !== undefined) {
      const nowMs = this.#desk.now().getTime();
      const isExpired = believed.token.expiresAt !== null && believed.token.expiresAt.getTime() <= nowMs;
      if (nowMs < believed.untilMs && !isExpired) return checked(believed.token, hash);
      this.#believed.delete(key);
    }
    return this.#lookUp(key, hash);
  }

  /** Forgets what was found, after a change of tokens in this process. */
  forget(): void {
    this.#believed.clear();
  }

  /** One query at a time, for all that wait: whoever sends wrong tokens by the thousand does not bind the database. */
  #lookUp(key: string, hash: Buffer): Promise<ApiToken | null> {
    const other = this.#waiting.get(key);
    if (other !== undefined) return other.answer;
    const { promise, resolve, reject } = Promise.withResolvers<ApiToken | null>();
    this.#waiting.set(key, { hash, answer: promise, settle: resolve, fail: reject });
    if (!this.#isLooking) void this.#lookAll();
    return promise;
  }

  async #lookAll(): Promise<void> {
    this.#isLooking = true;
    while (this.#waiting.size > 0) {
      const batch = this.#waiting;
      this.#waiting = new Map();
      try {
        const untilMs = this.#desk.now().getTime() + BELIEVED_MS;
        const found = await this.#desk.find([...batch.values()].map(({ hash }) => hash));
        for (const token of found) this.#believe(token, untilMs);
        const byHash = new Map(found.map((token) => [token.hash.toString("latin1"), token]));
        for (const [key, { hash, settle }] of batch) {
          const token = byHash.get(key);
          settle(token === undefined ? null : checked(token, hash));
        }
      } catch (error) {
        for (const { fail } of batch.values()) fail(error);
      }
    }
    this.#isLooking = false;
  }

  #believe(token: HashedToken, untilMs: number): void {
    const key = token.hash.toString("latin1");
    this.#believed.delete(key);
    this.#believed.set(key, { token, untilMs });
    const first = this.#believed.size > MAX_BELIEVED ? this.#believed.keys().next().value : undefined;
    if (first !== undefined) this.#believed.delete(first);
  }
}

/** Looking up by a hash tells nothing of a token; that what was found is the one meant is still seen in constant time. */
function checked(token: HashedToken, hash: Buffer): ApiToken | null {
  return timingSafeEqual(token.hash, hash) ? token : null;
}
