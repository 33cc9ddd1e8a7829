/** What a soak leaves behind for its account: the plan, the log, the receivers, the read model, and what was killed when. */
import type { Crash } from "./egretProcesses.ts";
import type { History } from "./histories.ts";
import type { Witness } from "./receivers.ts";
import type { Planned, SoakOptions } from "./soakPlan.ts";

/** All that is known when a soak is over. */
export interface Evidence {
  options: SoakOptions;
  plan: readonly Planned[];
  histories: ReadonlyMap<string, History>;
  witness: Witness;
  crashes: readonly Crash[];
  /** What Egret processes wrote that ended by themselves. */
  surprises: readonly string[];
  /** State by delivery id, as the read model has it. */
  readModel: ReadonlyMap<string, string>;
  seconds: number;
}
