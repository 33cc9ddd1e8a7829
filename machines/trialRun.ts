/** The statechart of a dry or test run: a look at what a run would do, or one record sent; no state of the sync changes. */
import { setup } from "xstate";

/** Version of this statechart, written into each event as `machine: trialRun@1`. */
export const TRIAL_RUN_MACHINE = "trialRun@1";

/** What can happen to a trial after it was requested. */
export type TrialRunFact = { type: "trial.started" } | { type: "trial.completed" } | { type: "trial.failed" };

const machine = setup({
  // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- xstate infers its types from this cast
  types: {} as { events: TrialRunFact },
  actions: {
    /** Effect: a worker takes the trial up. */
    start: () => undefined,
    /** Effect: the plan is worked out and thrown away, or one record is sent. */
    try: () => undefined,
  },
});

/** requested -> working -> completed or failed; cancelled, it fails from wherever it is. */
export const trialRunMachine = machine.createMachine({
  id: "trialRun",
  initial: "requested",
  states: {
    requested: { entry: "start", on: { "trial.started": "working", "trial.failed": "failed" } },
    working: { entry: "try", on: { "trial.completed": "completed", "trial.failed": "failed" } },
    completed: { type: "final", tags: "ended" },
    failed: { type: "final", tags: "ended" },
  },
});
