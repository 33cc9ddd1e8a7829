import { describe, expect, test } from "vitest";
import { initialTransition, transition } from "xstate";
import { getShortestPaths } from "xstate/graph";
import { type TrialRunFact, trialRunMachine } from "../../machines/trialRun.ts";

const FACTS: TrialRunFact[] = [
  { type: "trial.started" },
  { type: "trial.completed" },
  { type: "trial.failed" },
];

describe("machine of dry and test runs", () => {
  test("asks for one effect in each state, and ends completed or failed", () => {
    const [requested, first] = initialTransition(trialRunMachine);
    expect(first.map(({ type }) => type)).toEqual(["start"]);
    const [working, then] = transition(trialRunMachine, requested, { type: "trial.started" });
    expect(then.map(({ type }) => type)).toEqual(["try"]);
    const [completed] = transition(trialRunMachine, working, { type: "trial.completed" });
    expect(completed.value).toBe("completed");
    expect(FACTS.filter((fact) => completed.can(fact))).toEqual([]);
  });

  test("fails from wherever it is, and completes only after it was begun", () => {
    const [requested] = initialTransition(trialRunMachine);
    expect(requested.can({ type: "trial.completed" })).toBe(false);
    expect(transition(trialRunMachine, requested, { type: "trial.failed" })[0].value).toBe("failed");
    const [working] = transition(trialRunMachine, requested, { type: "trial.started" });
    expect(transition(trialRunMachine, working, { type: "trial.failed" })[0].value).toBe("failed");
  });

  test("reaches each of its states", () => {
    const reached = getShortestPaths(trialRunMachine, { events: FACTS }).map(({ state }) => state.value);
    expect([...reached].sort()).toEqual(["completed", "failed", "requested", "working"]);
  });
});
