/**
 * How many requests the API takes: per token, and of requests without a good token per address. Each process counts its
 * own, so several of them take as many times more. Nobody is locked out: a good token is never held to what others send
 * from the same address, and every bucket fills again by itself.
 */
import { RateBuckets } from "../rateBuckets.ts";
import { tooMany } from "./credentials.ts";
import type { Step } from "./step.ts";

/** Requests of one token per second unless the settings say otherwise. Source: ours (behaviour.md 10.1). */
export const DEFAULT_API_RATE = 20;
/** So many seconds' worth may come at once: a plan of Terraform or the pages of a list do. Source: ours. */
const BURST_S = 5;
/** Of one address without a good token: enough for a person who mistypes, too few for a flood. Source: ours. */
const WITHOUT_TOKEN = { burst: 50, perSecond: 5 };

/** The limits of a process. */
export interface ApiRateLimit {
  /** Holds callers to their rate; after authentication. */
  perToken: Step;
  /** Takes a place for a request without a good token; 0, or after how many seconds there is one. */
  refused(address: string): number;
}

/** `perSecond` 0 switches all of it off. */
export function apiRateLimit(perSecond: number, now: () => Date): ApiRateLimit {
  if (perSecond === 0) return { perToken: () => undefined, refused: () => 0 };
  const nowMs = () => now().getTime();
  const tokens = new RateBuckets<number>({ burst: perSecond * BURST_S, perSecond }, nowMs);
  const addresses = new RateBuckets<string>(WITHOUT_TOKEN, nowMs);
  return {
    refused: (address) => addresses.take(address),
    perToken: (context) => {
      const waitS = tokens.take(context.get("caller").tokenId);
      if (waitS > 0) throw tooMany(waitS);
      return undefined;
    },
  };
}
