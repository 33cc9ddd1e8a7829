/** The statechart of one replay: a job that delivers many ended or missed deliveries again. */
import { assign, setup } from "xstate";

/** Version of this statechart, written into each event as `machine: replay@1`. */
export const REPLAY_MACHINE = "replay@1";

/** What can happen to a replay after it was requested. */
export type ReplayFact =
  | { type: "replay.completed"; replayed: number }
  | { type: "replay.failed"; replayed: number }
  | { type: "replay.cancelled"; replayed: number };

/** What a replay remembers: how many deliveries it began again. How far it is stands in Postgres until it ends. */
export interface ReplayContext {
  replayed: number;
}

const machine = setup({
  // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- xstate infers its types from this cast
  types: {} as { context: ReplayContext; events: ReplayFact },
  actions: {
    /** Effect: a worker pages through what is wanted, from the cursor on. */
    replay: () => undefined,
    count: assign({ replayed: ({ event }) => event.replayed }),
  },
});

/** requested -> completed, failed or cancelled; what was begun again by then stays so. */
export const replayMachine = machine.createMachine({
  id: "replay",
  context: { replayed: 0 },
  initial: "requested",
  states: {
    requested: {
      entry: "replay",
      on: {
        "replay.completed": { target: "completed", actions: "count" },
        "replay.failed": { target: "failed", actions: "count" },
        "replay.cancelled": { target: "cancelled", actions: "count" },
      },
    },
    completed: { type: "final", tags: "ended" },
    failed: { type: "final", tags: "ended" },
    cancelled: { type: "final", tags: "ended" },
  },
});
