/** Finds a run in the log by its id alone. */
import { parseAggregate, type RunAggregate, type TrialAggregate } from "../domain/aggregate.ts";
import { InvalidInput, NotFound, toError, Unavailable } from "../domain/errors.ts";
import type { LogConnection } from "../log/connection.ts";

/** @throws InvalidInput unless the text is the id of a run: a whole number from 1. */
export function parseRunId(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new InvalidInput(
    `${JSON.stringify(text)} is no run id: a run id is a whole number, see \`egret runs\``,
  );
}

/**
 * The run of that id, by a direct get that needs neither its workspace nor its sync.
 * @throws NotFound when the log has no event of it; InvalidInput when it is a dry or test run.
 */
export async function findRun(connection: LogConnection, runId: number): Promise<RunAggregate> {
  const found = await findAnyRun(connection, runId);
  if (found.kind === "run") return found;
  throw new InvalidInput(`run ${runId} is a dry or test run; see it with: egret run ${runId}`);
}

/**
 * The run of that id, whatever its kind.
 * @throws NotFound when the log has no event of it.
 */
export async function findAnyRun(
  { jsm, topology }: LogConnection,
  runId: number,
): Promise<RunAggregate | TrialAggregate> {
  for (const kind of ["run", "trial"]) {
    const filter = topology.events(`*.${kind}.*.${runId}.*`);
    const message = await jsm.direct
      .getMessage(topology.eventStreams.runs, { last_by_subj: filter })
      .catch((cause: unknown) => {
        const text = `the log cannot be read (${toError(cause).message})`;
        throw new Unavailable(`${text}: was \`egret start\` ever run against this NATS server?`, { cause });
      });
    const aggregate =
      message === null ? null : parseAggregate(message.subject.slice(topology.events("").length));
    if (aggregate?.kind === "run" || aggregate?.kind === "trial") return aggregate;
  }
  throw new NotFound(`the log has no run ${runId}; \`egret runs\` lists the latest`);
}
