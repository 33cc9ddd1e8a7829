import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { initialTransition, transition } from "xstate";
import { getShortestPaths } from "xstate/graph";
import { type SyncRunFact, syncRunMachine } from "../../machines/syncRun.ts";

const GOOD_WAY: SyncRunFact[] = [
  { type: "sync.started" },
  { type: "sync.checked" },
  { type: "sync.snapshotted" },
  { type: "sync.planned", batches: 3 },
  { type: "sync.loaded" },
  { type: "sync.completed", status: "ok" },
  { type: "sync.success" },
];
const FACTS: SyncRunFact[] = [
  ...GOOD_WAY,
  { type: "sync.cancel_requested" },
  { type: "sync.completed", status: "emergency" },
  { type: "sync.failed" },
];

const start = () => initialTransition(syncRunMachine)[0];

function fold(facts: readonly SyncRunFact[]) {
  let snapshot = start();
  const effects: string[] = [];
  for (const next of facts) {
    const [after, actions] = transition(syncRunMachine, snapshot, next);
    snapshot = after;
    effects.push(...actions.map((action) => action.type));
  }
  return { snapshot, effects };
}

describe("run machine", () => {
  test("goes triggered, started, completed, success, and asks for one effect in each state", () => {
    const { snapshot, effects } = fold(GOOD_WAY);
    expect(snapshot.value).toEqual({ completed: "success" });
    expect(effects).toEqual(["check", "snapshot", "plan", "load", "commit", "conclude"]);
    expect(initialTransition(syncRunMachine)[1].map((action) => action.type)).toEqual(["start"]);
  });

  test("fails from every state before completed, and then only concludes as failed", () => {
    for (let steps = 0; steps <= 5; steps++) {
      const { snapshot } = fold([
        ...GOOD_WAY.slice(0, steps),
        { type: "sync.completed", status: "emergency" },
      ]);
      expect(snapshot.value).toEqual({ completed: "concluding" });
      expect(snapshot.can({ type: "sync.success" })).toBe(false);
      expect(
        fold([
          ...GOOD_WAY.slice(0, steps),
          { type: "sync.completed", status: "emergency" },
          { type: "sync.failed" },
        ]).snapshot.value,
      ).toEqual({ completed: "failed" });
    }
  });

  test("is cancelled from every state before committing, and then only fails", () => {
    const request: SyncRunFact = { type: "sync.cancel_requested" };
    for (let steps = 0; steps <= 4; steps++) {
      const { snapshot, effects } = fold([...GOOD_WAY.slice(0, steps), request]);
      expect(snapshot.value).toBe("canceling");
      expect(effects.at(-1)).toBe("cancel");
      expect(FACTS.filter((fact) => snapshot.can(fact))).toEqual([
        { type: "sync.completed", status: "emergency" },
      ]);
    }
    for (let steps = 5; steps <= GOOD_WAY.length; steps++) {
      expect(fold(GOOD_WAY.slice(0, steps)).snapshot.can(request)).toBe(false);
    }
  });

  test("one that is skipped has ended as it begins, and asks for nothing", () => {
    const [snapshot, actions] = initialTransition(syncRunMachine, { isSkipped: true });
    expect(snapshot.value).toBe("skipped");
    expect(snapshot.hasTag("ended")).toBe(true);
    expect(actions).toEqual([]);
    expect(FACTS.filter((fact) => snapshot.can(fact))).toEqual([]);
  });

  test("completes well only after its batches are loaded", () => {
    for (let steps = 0; steps <= 4; steps++) {
      const { snapshot } = fold(GOOD_WAY.slice(0, steps));
      expect(snapshot.can({ type: "sync.completed", status: "ok" })).toBe(false);
    }
  });

  test("reaches each of its states", () => {
    const paths = getShortestPaths(syncRunMachine, { events: FACTS });
    const reached = new Set(paths.map(({ state }) => JSON.stringify(state.value)));
    expect(reached.size).toBe(1 + 5 + 1 + 3);
  });

  test("I8: completed comes before success or failed, each once, in every random history", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...FACTS), { maxLength: 40 }), (facts) => {
        let snapshot = start();
        const taken: string[] = [];
        for (const next of facts) {
          if (snapshot.status !== "active" || !snapshot.can(next)) continue;
          [snapshot] = transition(syncRunMachine, snapshot, next);
          taken.push(next.type);
        }
        expect(new Set(taken).size).toBe(taken.length);
        const end = taken.findIndex((type) => type === "sync.success" || type === "sync.failed");
        if (end !== -1) expect(taken.indexOf("sync.completed")).toBe(end - 1);
      }),
      { numRuns: 500 },
    );
  });

  test("I3: any fact in any state gives a defined result, the same at every replay", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...FACTS), { maxLength: 40 }), (facts) => {
        expect(fold(facts).snapshot.value).toEqual(fold(facts).snapshot.value);
        expect(fold(facts).snapshot.context).toEqual(fold(facts).snapshot.context);
      }),
      { numRuns: 300 },
    );
  });
});
