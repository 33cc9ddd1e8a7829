import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { initialTransition, transition } from "xstate";
import { getShortestPaths } from "xstate/graph";
import { type AlertContext, type AlertFact, alertMachine } from "../../machines/alert.ts";

function reach(facts: readonly AlertFact[]) {
  let [snapshot] = initialTransition(alertMachine);
  for (const fact of facts) [snapshot] = transition(alertMachine, snapshot, fact);
  return snapshot;
}

const RAISE: AlertFact = { type: "limit.violated", run: 5, episode: 501 };
const WAYS = {
  resolved: [],
  raised: [RAISE],
  "resolved again": [RAISE, { type: "limit.kept", run: 6 }],
} as const;

interface Case {
  from: keyof typeof WAYS;
  fact: AlertFact;
  to: "raised" | "resolved" | "nothing";
  effects?: string[];
  context?: AlertContext;
}
const CASES: Case[] = [
  {
    from: "resolved",
    fact: RAISE,
    to: "raised",
    effects: ["tellRaised"],
    context: { run: 5, episode: 501, times: 1 },
  },
  {
    from: "resolved",
    fact: { type: "moment.came", run: 5, episode: 501 },
    to: "resolved",
    effects: ["tellRaised"],
    context: { run: 5, episode: null, times: 0 },
  },
  { from: "resolved", fact: { type: "limit.kept", run: 5 }, to: "nothing" },
  { from: "resolved", fact: { type: "watch.ended" }, to: "nothing" },
  {
    from: "raised",
    fact: { type: "limit.violated", run: 6, episode: 501 },
    to: "raised",
    effects: ["tellRaised"],
    context: { run: 6, episode: 501, times: 2 },
  },
  { from: "raised", fact: { type: "limit.violated", run: 6, episode: 502 }, to: "nothing" },
  { from: "raised", fact: { type: "limit.violated", run: 5, episode: 501 }, to: "nothing" },
  { from: "raised", fact: { type: "moment.came", run: 6, episode: 502 }, to: "nothing" },
  {
    from: "raised",
    fact: { type: "limit.kept", run: 6 },
    to: "resolved",
    effects: ["tellResolved"],
    context: { run: 6, episode: null, times: 0 },
  },
  { from: "raised", fact: { type: "limit.kept", run: 5 }, to: "nothing" },
  {
    from: "raised",
    fact: { type: "watch.ended" },
    to: "resolved",
    effects: [],
    context: { run: 5, episode: null, times: 0 },
  },
  { from: "resolved again", fact: { type: "limit.violated", run: 6, episode: 502 }, to: "nothing" },
  {
    from: "resolved again",
    fact: { type: "limit.violated", run: 7, episode: 502 },
    to: "raised",
    effects: ["tellRaised"],
    context: { run: 7, episode: 502, times: 1 },
  },
];

const fact: fc.Arbitrary<AlertFact> = fc.oneof(
  fc.record({
    type: fc.constantFrom("limit.violated" as const, "moment.came" as const),
    run: fc.integer({ min: 1, max: 9 }),
    episode: fc.integer({ min: 501, max: 503 }),
  }),
  fc.record({ type: fc.constant("limit.kept" as const), run: fc.integer({ min: 1, max: 9 }) }),
  fc.constant<AlertFact>({ type: "watch.ended" }),
);

describe("alert machine", () => {
  test.each(CASES)(
    "I3: $from takes $fact.type of run $fact.run to $to",
    ({ from, fact, to, effects, context }) => {
      const before = reach(WAYS[from]);
      expect(before.can(fact)).toBe(to !== "nothing");
      const [after, actions] = transition(alertMachine, before, fact);
      if (to === "nothing") {
        expect(after).toBe(before);
        return;
      }
      expect(after.value).toBe(to);
      expect(after.context).toEqual(context);
      expect(actions.map(({ type }) => type)).toEqual(effects);
    },
  );

  test("reaches raised and resolved", () => {
    const paths = getShortestPaths(alertMachine, {
      events: [RAISE, { type: "limit.kept", run: 6 }],
      limit: 50,
    });
    expect(new Set(paths.map(({ state }) => state.value))).toEqual(new Set(["raised", "resolved"]));
  });

  test("I3: any facts in any order leave one open episode or none, and no run moves it twice", () => {
    fc.assert(
      fc.property(fc.array(fact, { maxLength: 30 }), (facts) => {
        let [snapshot] = initialTransition(alertMachine);
        const runs: number[] = [];
        for (const each of facts) {
          const [next, actions] = transition(alertMachine, snapshot, each);
          expect(next.context.run).toBeGreaterThanOrEqual(snapshot.context.run);
          if (actions.length > 0 && "run" in each) runs.push(each.run);
          expect(next.context.episode === null).toBe(next.value === "resolved");
          expect(next.context.times > 0).toBe(next.value === "raised");
          snapshot = next;
        }
        expect(new Set(runs).size).toBe(runs.length);
        // The same facts give the same state.
        expect(reach(facts).context).toEqual(snapshot.context);
      }),
    );
  });
});
