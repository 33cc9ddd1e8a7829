import { describe, expect, test } from "vitest";
import { initialTransition, transition } from "xstate";
import { type ReplayFact, replayMachine } from "../../machines/replay.ts";

const ENDS = ["completed", "failed", "cancelled"] as const;
const start = () => initialTransition(replayMachine);

describe("replay machine", () => {
  test("begins requested and asks for the work", () => {
    const [snapshot, effects] = start();
    expect(snapshot.value).toBe("requested");
    expect(effects.map(({ type }) => type)).toEqual(["replay"]);
  });

  test.each(ENDS)("ends %s, remembers how many it began again, and takes nothing after that", (end) => {
    const [snapshot] = transition(replayMachine, start()[0], { type: `replay.${end}`, replayed: 7 });
    expect(snapshot.value).toBe(end);
    expect(snapshot.hasTag("ended")).toBe(true);
    expect(snapshot.context.replayed).toBe(7);
    for (const other of ENDS) {
      const fact: ReplayFact = { type: `replay.${other}`, replayed: 8 };
      expect(snapshot.can(fact)).toBe(false);
      expect(transition(replayMachine, snapshot, fact)[0].context.replayed).toBe(7);
    }
  });
});
