/** What a run is doing, in the words of the API (behaviour.md 4.3). */

/** Words by the state of a run. One that is cancelled or fails keeps those of where it was. */
const STEPS: Readonly<Record<string, string>> = {
  triggered: "Running sync",
  "started.checking": "Checking source and destination configuration",
  "started.snapshotting": "Unloading data from warehouse",
  "started.diffing": "Unloading data from warehouse",
  "started.loading": "Loading data into destination service",
  "started.committing": "Committing sync to warehouse",
  requested: "Running sync",
  working: "Running sync",
};

/** The step of a state of a run, dry and test runs included; undefined for a state that has no step of its own. */
export function currentStep(state: string): string | undefined {
  return STEPS[state];
}
