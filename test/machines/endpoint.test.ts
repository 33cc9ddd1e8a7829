import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { initialTransition, transition } from "xstate";
import { getShortestPaths } from "xstate/graph";
import {
  ENDPOINT_STATES,
  type EndpointFact,
  type EndpointState,
  endpointMachine,
} from "../../machines/endpoint.ts";
import { ENDPOINT_POLICY, probePauseMs } from "../../src/domain/endpointPolicy.ts";
import { replay } from "../../src/runtime/actor.ts";
import { endpointBehaviour, resume } from "../../src/runtime/endpoints/endpointActor.ts";
import { endpointHistory } from "../support/endpointHistory.ts";
import { stored } from "../support/events.ts";

const aggregate = { kind: "endpoint", workspaceId: 12, targetKind: "webhook", targetId: 4 } as const;

/** A way into each state; the context afterwards: one probe made, configuration followed up to version 5. */
const WAYS: Record<EndpointState, EndpointFact[]> = {
  healthy: [],
  failing: [{ type: "failures.repeated" }],
  open: [{ type: "failures.repeated" }, { type: "failures.lasted" }],
  probing: [{ type: "failures.repeated" }, { type: "failures.lasted" }, { type: "probe.begun", probe: 1 }],
  disabled: [{ type: "target.disabled", configVersion: 5 }],
};

const FACTS = {
  repeated: { type: "failures.repeated" },
  lasted: { type: "failures.lasted" },
  firstProbe: { type: "probe.begun", probe: 1 },
  secondProbe: { type: "probe.begun", probe: 2 },
  firstFailed: { type: "probe.failed", probe: 1 },
  otherFailed: { type: "probe.failed", probe: 3 },
  accepted: { type: "target.accepted" },
  disabled: { type: "target.disabled", configVersion: 6 },
  enabled: { type: "target.enabled", configVersion: 6 },
  oldEnabled: { type: "target.enabled", configVersion: 5 },
} as const satisfies Record<string, EndpointFact>;

/** Where each fact leads from each state; what is not named is refused and changes nothing. */
const TABLE: Record<EndpointState, Partial<Record<keyof typeof FACTS, EndpointState>>> = {
  healthy: { repeated: "failing", disabled: "disabled" },
  failing: { lasted: "open", accepted: "healthy", disabled: "disabled" },
  open: { firstProbe: "probing", accepted: "healthy", disabled: "disabled" },
  probing: { secondProbe: "probing", firstFailed: "open", accepted: "healthy", disabled: "disabled" },
  disabled: { enabled: "healthy" },
};

function reach(facts: readonly EndpointFact[]) {
  let [snapshot] = initialTransition(endpointMachine);
  for (const fact of facts) [snapshot] = transition(endpointMachine, snapshot, fact);
  return snapshot;
}

const fact: fc.Arbitrary<EndpointFact> = fc.oneof(
  fc.record({
    type: fc.constantFrom("failures.repeated", "failures.lasted", "target.accepted"),
  }),
  fc.record({
    type: fc.constantFrom("probe.begun", "probe.failed"),
    probe: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({
    type: fc.constantFrom("target.disabled", "target.enabled"),
    configVersion: fc.integer({ min: 1, max: 9 }),
  }),
) as fc.Arbitrary<EndpointFact>;

describe("endpoint machine", () => {
  const cases = ENDPOINT_STATES.flatMap((state) =>
    Object.entries(FACTS).map(([name, fact]) => {
      const to = TABLE[state][name as keyof typeof FACTS];
      return { state, name, fact, to };
    }),
  );

  test.each(cases)("I3: $state takes $name to $to", ({ state, fact, to }) => {
    const before = reach(WAYS[state]);
    expect(before.value).toBe(state);
    expect(before.can(fact)).toBe(to !== undefined);
    const [after] = transition(endpointMachine, before, fact);
    expect(after.value).toBe(to ?? state);
    if (to === undefined) expect(after.context).toEqual(before.context);
  });

  test("begins healthy and reaches each of its states", () => {
    const paths = getShortestPaths(endpointMachine, { events: Object.values(FACTS), limit: 10_000 });
    const reached = new Set(paths.map(({ state }) => state.value));
    expect([...reached].sort()).toEqual([...ENDPOINT_STATES].sort());
    expect(reach([]).value).toBe("healthy");
  });

  test("numbers the probes of each outage from 1", () => {
    const second = [{ type: "probe.failed", probe: 1 }, FACTS.secondProbe] as const;
    expect(reach([...WAYS.probing, ...second]).context.probes).toBe(2);
    const again = reach([...WAYS.probing, FACTS.accepted, ...WAYS.open]);
    expect(again.context.probes).toBe(0);
    expect(again.can(FACTS.firstProbe)).toBe(true);
  });

  test("doubles the pause before each probe up to five minutes", () => {
    const pauses = [0, 1, 2, 3, 4, 5, 1_000].map((probes) => probePauseMs(ENDPOINT_POLICY, probes) / 1000);
    expect(pauses).toEqual([30, 60, 120, 240, 300, 300, 300]);
  });

  test("opens no sooner than a whole schedule of retries takes", () => {
    const scheduleMs = (4 + 8 + 16 + 32 + 64) * 1_000 + 6 * 10_000;
    expect(ENDPOINT_POLICY.openAfterMs).toBeGreaterThan(scheduleMs);
  });

  test("I3: replay gives the states that were recorded, and the last event alone gives the same", () => {
    fc.assert(
      fc.property(fc.array(fact, { maxLength: 60 }), (facts) => {
        const history = stored(endpointHistory({ facts }));
        const { snapshot, head } = replay(endpointBehaviour, aggregate, history);
        expect(head.version).toBe(history.length);
        const resumed = resume(aggregate, history.at(-1)!);
        expect(resumed.state).toBe(snapshot.value);
        expect(resumed.head).toEqual(head);
        // What was counted before counts no more once it is enabled again or well.
        if (resumed.state === "open" || resumed.state === "probing") {
          expect(resumed.context.probes).toBe(snapshot.context.probes);
        }
        if (resumed.state === "disabled") {
          expect(resumed.context.configVersion).toBe(snapshot.context.configVersion);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("says which event of a history could not have happened", () => {
    const history = stored(endpointHistory({ facts: WAYS.probing }));
    const without = [...history.slice(0, 2), ...history.slice(3)];
    expect(() => replay(endpointBehaviour, aggregate, without)).toThrow(
      "endpoint/webhook-4 version 4: probe.begun cannot happen in state failing",
    );
  });
});
