import { describe, expect, test } from "vitest";
import { FactRefused, LogCorrupt } from "../../src/domain/errors.ts";
import { begin, decide, hasEnded, replay } from "../../src/runtime/actor.ts";
import { deliveryBehaviour } from "../../src/runtime/deliveries/deliveryActor.ts";
import { runBehaviour } from "../../src/runtime/runs/runActor.ts";
import { deliveryHistory, runHistory, stored } from "../support/events.ts";

const aggregate = { kind: "run", workspaceId: 1, syncId: 2, runId: 7 } as const;

describe("replay", () => {
  test.each(["ok", "emergency", "canceled"] as const)(
    "I3: gives the states that a run which ends %s recorded",
    (outcome) => {
      for (let phases = 1; phases <= 6; phases++) {
        const { snapshot } = replay(
          runBehaviour,
          aggregate,
          stored(runHistory({ runId: 7, outcome, phases })),
        );
        expect(hasEnded(snapshot)).toBe(true);
      }
    },
  );

  test.each(["open", "delivered", "exhausted", "refused", "dropped"] as const)(
    "I3: gives the states that a delivery which ends %s recorded",
    (end) => {
      const retries = end === "exhausted" ? 2 : 1;
      const history = stored(deliveryHistory({ deliveryId: "7-1", retries, end }));
      expect(replay(deliveryBehaviour, aggregate, history).head.version).toBe(history.length);
    },
  );

  test("says which version leads elsewhere than it claims", () => {
    const history = stored(runHistory({ runId: 7 }));
    const second = history[1];
    if (second === undefined) throw new Error("no second event");
    second.event.state = "started.loading";
    expect(() => replay(runBehaviour, aggregate, history)).toThrow(
      "run/7 version 2 says state started.loading, replay gives started.checking",
    );
  });

  test("says which event could not have happened", () => {
    const history = stored(runHistory({ runId: 7 }));
    const without = [...history.slice(0, 2), ...history.slice(3)];
    expect(() => replay(runBehaviour, aggregate, without)).toThrow(LogCorrupt);
  });

  test("refuses a history without events", () => {
    expect(() => replay(runBehaviour, aggregate, [])).toThrow("run/7 has no events");
  });
});

describe("decide", () => {
  test("I3: refuses a fact that the state does not take, and an unknown one, without changing anything", () => {
    const { snapshot } = begin(runBehaviour, undefined);
    expect(() => decide(snapshot, { type: "sync.success" })).toThrow(FactRefused);
    expect(() => decide(snapshot, { type: "no.such.fact" })).toThrow(
      "no.such.fact cannot happen in state triggered",
    );
    expect(decide(snapshot, { type: "sync.started" }).state).toBe("started.checking");
  });

  test("turns the wait in the statechart into milliseconds", () => {
    const { snapshot } = begin(deliveryBehaviour, { retryDelaysMs: [4_000] });
    expect(decide(snapshot, { type: "attempt.failed", attempt: 1 } as { type: string }).delayMs).toBe(4_000);
  });
});
