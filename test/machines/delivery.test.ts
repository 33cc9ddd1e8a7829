import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { initialTransition, transition } from "xstate";
import { getShortestPaths } from "xstate/graph";
import { type DeliveryFact, deliveryMachine } from "../../machines/delivery.ts";

const SCHEDULE = [4_000, 8_000, 16_000, 32_000, 64_000];
const start = () => initialTransition(deliveryMachine, { retryDelaysMs: SCHEDULE })[0];
type Snapshot = ReturnType<typeof start>;

const fact: fc.Arbitrary<DeliveryFact> = fc.oneof(
  fc.record({
    type: fc.constantFrom("attempt.accepted", "attempt.failed", "attempt.refused"),
    attempt: fc.integer({ min: 0, max: 8 }),
  }),
  fc.constant({ type: "delivery.redelivered" }),
  fc.record({
    type: fc.constant("delivery.dropped"),
    reason: fc.constantFrom("target_deleted", "target_disabled", "run_ended"),
  }),
) as fc.Arbitrary<DeliveryFact>;

function delays(facts: DeliveryFact[]): { snapshot: Snapshot; waits: number[] } {
  let snapshot = start();
  const waits: number[] = [];
  for (const next of facts) {
    const [after, actions] = transition(deliveryMachine, snapshot, next);
    snapshot = after;
    for (const action of actions) {
      if (action.type === "xstate.raise") waits.push((action.params as { delay: number }).delay);
    }
  }
  return { snapshot, waits };
}

const failures = (count: number, first = 1): DeliveryFact[] =>
  Array.from({ length: count }, (_, index) => ({ type: "attempt.failed", attempt: first + index }));

/** Facts that lead into each state. */
const WAYS = {
  pending: [],
  retrying: failures(1),
  delivered: [{ type: "attempt.accepted", attempt: 1 }],
  dead: [{ type: "attempt.refused", attempt: 1 }],
} as const satisfies Record<string, readonly DeliveryFact[]>;

/** Where each fact leads from each state; null where it cannot happen. Attempts are the next one's. */
const TABLE: Record<keyof typeof WAYS, Record<DeliveryFact["type"], string | null>> = {
  pending: {
    "attempt.accepted": "delivered",
    "attempt.failed": "retrying",
    "attempt.refused": "dead",
    "delivery.dropped": "dead",
    "delivery.redelivered": null,
  },
  retrying: {
    "attempt.accepted": "delivered",
    "attempt.failed": "retrying",
    "attempt.refused": "dead",
    "delivery.dropped": "dead",
    "delivery.redelivered": null,
  },
  delivered: {
    "attempt.accepted": null,
    "attempt.failed": null,
    "attempt.refused": null,
    "delivery.dropped": null,
    "delivery.redelivered": "pending",
  },
  dead: {
    "attempt.accepted": null,
    "attempt.failed": null,
    "attempt.refused": null,
    "delivery.dropped": null,
    "delivery.redelivered": "pending",
  },
};

describe("delivery machine", () => {
  test("waits 4, 8, 16, 32 and 64 seconds between six attempts, then dies exhausted", () => {
    const { snapshot, waits } = delays(failures(6));
    expect(waits).toEqual(SCHEDULE);
    expect(snapshot.value).toBe("dead");
    expect(snapshot.context).toMatchObject({ attempts: 6, deathReason: "exhausted" });
  });

  test("is delivered by the first acceptance, whichever attempt that is", () => {
    for (let failed = 0; failed <= 5; failed++) {
      const { snapshot } = delays([...failures(failed), { type: "attempt.accepted", attempt: failed + 1 }]);
      expect(snapshot.value).toBe("delivered");
      expect(snapshot.context.attempts).toBe(failed + 1);
    }
  });

  test("a wait given in the fact replaces the schedule's, so that replay sees what was waited", () => {
    expect(delays([{ type: "attempt.failed", attempt: 1, delayMs: 1234 }]).waits).toEqual([1234]);
  });

  test("dies at once when the target refuses for good or is gone", () => {
    expect(delays([{ type: "attempt.refused", attempt: 1 }]).snapshot.context.deathReason).toBe("refused");
    const dropped = delays([...failures(2), { type: "delivery.dropped", reason: "target_deleted" }]).snapshot;
    expect(dropped.value).toBe("dead");
    expect(dropped.context).toMatchObject({ attempts: 2, deathReason: "target_deleted" });
  });

  test("refuses an outcome of any attempt but the next", () => {
    const [snapshot] = transition(deliveryMachine, start(), { type: "attempt.failed", attempt: 1 });
    expect(snapshot.can({ type: "attempt.failed", attempt: 1 })).toBe(false);
    expect(snapshot.can({ type: "attempt.accepted", attempt: 3 })).toBe(false);
    expect(snapshot.can({ type: "attempt.accepted", attempt: 2 })).toBe(true);
  });

  test("takes each fact in each state as the table says, and in no other", () => {
    for (const [state, ways] of Object.entries(WAYS)) {
      const { snapshot } = delays([...ways]);
      expect(snapshot.value).toBe(state);
      for (const [type, target] of Object.entries(TABLE[state as keyof typeof WAYS])) {
        const next = {
          type,
          attempt: snapshot.context.attempts + 1,
          reason: "target_deleted",
        } as DeliveryFact;
        expect(snapshot.can(next), `${state} ${type}`).toBe(target !== null);
        if (target === null) continue;
        expect(transition(deliveryMachine, snapshot, next)[0].value, `${state} ${type}`).toBe(target);
      }
    }
  });

  test("redelivered, it has the whole schedule again, attempts go on counting, and the death is forgotten", () => {
    const dead = delays(failures(6)).snapshot;
    const [again, effects] = transition(deliveryMachine, dead, { type: "delivery.redelivered" });
    expect(again.context).toMatchObject({ attempts: 6, deathReason: null, nextDelayMs: 0 });
    expect(effects.map(({ type }) => type)).toEqual(["attempt"]);
    const second = delays([...failures(6), { type: "delivery.redelivered" }, ...failures(6, 7)]);
    expect(second.waits).toEqual([...SCHEDULE, ...SCHEDULE]);
    expect(second.snapshot.value).toBe("dead");
    expect(second.snapshot.context).toMatchObject({ attempts: 12, deathReason: "exhausted" });
  });

  test("redelivered after an early acceptance, it has six attempts, not what was left", () => {
    const facts: DeliveryFact[] = [
      { type: "attempt.accepted", attempt: 1 },
      { type: "delivery.redelivered" },
    ];
    const { snapshot, waits } = delays([...facts, ...failures(6, 2)]);
    expect(waits).toEqual(SCHEDULE);
    expect(snapshot.context).toMatchObject({ attempts: 7, deathReason: "exhausted" });
  });

  test("reaches each of its states", () => {
    const events: DeliveryFact[] = [
      ...failures(6),
      { type: "attempt.accepted", attempt: 1 },
      { type: "attempt.refused", attempt: 1 },
    ];
    const paths = getShortestPaths(deliveryMachine, {
      events,
      input: { retryDelaysMs: SCHEDULE },
      limit: 10_000,
    });
    const reached = new Set(paths.map(({ state }) => state.value));
    expect([...reached].sort()).toEqual(["dead", "delivered", "pending", "retrying"]);
  });

  test("I3: any fact in any state gives a defined result, and the same one when replayed", () => {
    fc.assert(
      fc.property(fc.array(fact, { maxLength: 30 }), (facts) => {
        const first = delays(facts);
        const second = delays(facts);
        expect(second.snapshot.value).toEqual(first.snapshot.value);
        expect(second.snapshot.context).toEqual(first.snapshot.context);
        expect(["pending", "retrying", "delivered", "dead"]).toContain(first.snapshot.value);
      }),
      { numRuns: 500 },
    );
  });

  test("I3: attempts never exceed the budget of each round, and an ended delivery moves by a redelivery only", () => {
    fc.assert(
      fc.property(fc.array(fact, { maxLength: 40 }), (facts) => {
        let snapshot = start();
        let rounds = 1;
        for (const next of facts) {
          const [after] = transition(deliveryMachine, snapshot, next);
          if (snapshot.hasTag("ended") && next.type === "delivery.redelivered") rounds += 1;
          else if (snapshot.hasTag("ended")) expect(after.value).toEqual(snapshot.value);
          snapshot = after;
          expect(snapshot.context.attempts).toBeLessThanOrEqual(rounds * (SCHEDULE.length + 1));
        }
      }),
      { numRuns: 500 },
    );
  });
});
