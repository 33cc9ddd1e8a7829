/** How the events of dry and test runs and their machine's facts correspond. */
import { TRIAL_RUN_MACHINE, type TrialRunFact, trialRunMachine } from "../../../machines/trialRun.ts";
import { LogCorrupt } from "../../domain/errors.ts";
import type { Behaviour } from "../actor.ts";

export const trialBehaviour: Behaviour<TrialRunFact> = {
  name: TRIAL_RUN_MACHINE,
  machine: trialRunMachine,
  input: () => undefined,
  fact: ({ type }) => {
    if (type === "trial.started" || type === "trial.completed" || type === "trial.failed") return { type };
    throw new LogCorrupt(`${type} is no event of a dry or test run`);
  },
};
