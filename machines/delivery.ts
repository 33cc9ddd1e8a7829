/** The statechart of one delivery: one payload for one target, attempted until it is accepted or given up. */
import { assign, setup } from "xstate";

/**
 * Version of this statechart, written into each event as `machine: delivery@2`. Since 2 an ended delivery can be
 * redelivered; every history of `delivery@1` replays to the same states.
 */
export const DELIVERY_MACHINE = "delivery@2";

/** Why a delivery died: the schedule ran out, the target refused it for good, or nobody wants it any more. */
export type DeathReason = "exhausted" | "refused" | "target_deleted" | "target_disabled" | "run_ended";

/** What can happen to a delivery. Facts carry the number of the attempt they speak of, from 1. */
export type DeliveryFact =
  | { type: "attempt.accepted"; attempt: number }
  | { type: "attempt.failed"; attempt: number; delayMs?: number | undefined }
  | { type: "attempt.refused"; attempt: number }
  | { type: "delivery.dropped"; reason: "target_deleted" | "target_disabled" | "run_ended" }
  | { type: "delivery.redelivered" };

/** Waits before retry 1, 2, … in milliseconds; its length is the number of retries. */
export interface DeliveryInput {
  retryDelaysMs: readonly number[];
}

/**
 * What a delivery remembers: attempts made, how many of them before the schedule began anew, the wait before the next
 * one, and why it died.
 */
export interface DeliveryContext {
  retryDelaysMs: readonly number[];
  attempts: number;
  attemptsBefore: number;
  nextDelayMs: number;
  deathReason: DeathReason | null;
}

const machine = setup({
  // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- xstate infers its types from this cast
  types: {} as { context: DeliveryContext; events: DeliveryFact; input: DeliveryInput | undefined },
  guards: {
    isNext: ({ context, event }) => "attempt" in event && event.attempt === context.attempts + 1,
    mayRetry: ({ context, event }) =>
      event.type === "attempt.failed" &&
      event.attempt === context.attempts + 1 &&
      context.attempts - context.attemptsBefore < context.retryDelaysMs.length,
  },
  actions: {
    /** Effect: send the next request. */
    attempt: () => undefined,
    /** Effect: tell the owner (the batch's run, the webhook) how it ended. */
    settle: () => undefined,
    countAttempt: assign({
      attempts: ({ context }) => context.attempts + 1,
      // A delay in the fact (Retry-After, jitter) replaces the schedule's, so that replay sees the same wait.
      nextDelayMs: ({ context, event }) =>
        (event.type === "attempt.failed" ? event.delayMs : undefined) ??
        context.retryDelaysMs[context.attempts - context.attemptsBefore] ??
        0,
    }),
    /** The schedule begins anew; attempts go on counting, so that no two requests share a number. */
    restart: assign({
      attemptsBefore: ({ context }) => context.attempts,
      nextDelayMs: 0,
      deathReason: null,
    }),
    markDead: assign({
      deathReason: ({ event }, params: { reason: DeathReason | null }) =>
        params.reason ?? (event.type === "delivery.dropped" ? event.reason : null),
    }),
  },
  delays: { retryDelay: ({ context }) => context.nextDelayMs },
});

const outcomes = machine.createStateConfig({
  on: {
    "attempt.accepted": { guard: "isNext", target: "delivered", actions: "countAttempt" },
    "attempt.failed": [
      { guard: "mayRetry", target: "retrying", reenter: true, actions: "countAttempt" },
      {
        guard: "isNext",
        target: "dead",
        actions: ["countAttempt", { type: "markDead", params: { reason: "exhausted" } }],
      },
    ],
    "attempt.refused": {
      guard: "isNext",
      target: "dead",
      actions: ["countAttempt", { type: "markDead", params: { reason: "refused" } }],
    },
    "delivery.dropped": { target: "dead", actions: { type: "markDead", params: { reason: null } } },
  },
});

const ended = machine.createStateConfig({
  tags: "ended",
  entry: "settle",
  on: { "delivery.redelivered": { target: "pending", actions: "restart" } },
});

/**
 * pending -> delivered, or -> retrying -> … -> delivered or dead; both again -> pending when a person asks for it.
 * The waits between attempts stand in `after`.
 */
export const deliveryMachine = machine.createMachine({
  id: "delivery",
  // xstate evaluates the initial context without input inside transition(): hence the default.
  context: ({ input }) => ({
    retryDelaysMs: input?.retryDelaysMs ?? [],
    attempts: 0,
    attemptsBefore: 0,
    nextDelayMs: 0,
    deathReason: null,
  }),
  initial: "pending",
  states: {
    pending: { entry: "attempt", ...outcomes },
    retrying: { after: { retryDelay: { actions: "attempt" } }, ...outcomes },
    delivered: ended,
    dead: ended,
  },
});
