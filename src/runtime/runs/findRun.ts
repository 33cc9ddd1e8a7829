/** Finds a run of a workspace in the log by its id: by direct gets, which need no sync. */
import { parseAggregate, type RunAggregate, type TrialAggregate } from "../../domain/aggregate.ts";
import { Unavailable } from "../../domain/errors.ts";
import type { LogConnection } from "../../log/connection.ts";

/**
 * Null when the log has no event of such a run in that workspace.
 * @throws Unavailable when the log cannot be read.
 */
export async function findRunById(
  { jsm, topology }: LogConnection,
  { workspaceId, runId }: { workspaceId: number; runId: number },
): Promise<RunAggregate | TrialAggregate | null> {
  for (const kind of ["run", "trial"]) {
    const filter = topology.events(`${workspaceId}.${kind}.*.${runId}.*`);
    const message = await jsm.direct
      .getMessage(topology.eventStreams.runs, { last_by_subj: filter })
      .catch((cause: unknown) => {
        throw new Unavailable(`the log cannot be read now: ${kind}/${runId}`, { cause });
      });
    const aggregate =
      message === null ? null : parseAggregate(message.subject.slice(topology.events("").length));
    if (aggregate?.kind === "run" || aggregate?.kind === "trial") return aggregate;
  }
  return null;
}
