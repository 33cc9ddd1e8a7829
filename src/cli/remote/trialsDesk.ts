/** Dry and test runs over the API. */
import type { Client, Schemas } from "../../client/client.ts";
import type { TrialEnd, TrialsDesk } from "../desks.ts";
import { RunScreen } from "../runScreen.ts";
import { print, StatusLine } from "../terminal.ts";
import { findSync } from "./findNamed.ts";
import { followRun } from "./followRun.ts";
import { durationOf, runFigures } from "./runEnd.ts";

/** The desk. */
export function remoteTrialsDesk(client: Client): TrialsDesk {
  return {
    dryRun: async ({ isFull, timeoutMs, isShown, ...wanted }) => {
      const { id } = await findSync(client, wanted);
      const { data } = await client.dryRunSync({ path: { id }, body: { force_full_sync: isFull } });
      const screen = isShown ? new RunScreen(new StatusLine()) : null;
      if (screen !== null) print(`run ${data.sync_run_id}`);
      const run = await followRun(client, data.sync_run_id, { screen, startTimeoutMs: timeoutMs });
      return endOf(run, (await client.getOwnWorkspace()).data.id);
    },
    test: async ({ key, timeoutMs, ...wanted }) => {
      const { id } = await findSync(client, wanted);
      const body = key === undefined ? {} : { identifier: key };
      const { test_sync_run_id: runId } = (await client.testSync({ path: { id }, body })).data;
      const run = await followRun(client, runId, { screen: null, startTimeoutMs: timeoutMs });
      const shown = await client.getSyncTestRun({ path: { id, test_run_id: runId } });
      const { data: workspace } = await client.getOwnWorkspace();
      return { tried: endOf(run, workspace.id), exchange: exchangeOf(shown.data) };
    },
  };
}

function endOf(run: Schemas["SyncRun"] & { completed_at: string }, workspaceId: number): TrialEnd {
  const { id: runId, full_sync, full_sync_reasons, canceled } = run;
  const figures = runFigures(run, workspaceId);
  const duration_ms = durationOf(run);
  if (run.status === "completed") {
    const { dry_run: dry = null, test = null } = run;
    const data = { ...figures, full_sync, full_sync_reasons, duration_ms, dry, test };
    return { runId, end: { type: "trial.completed", data } };
  }
  const { workspace_id, sync_id, sync_run_id } = figures;
  const { error_message, error_detail } = run;
  const error = {
    error_code: run.error_code ?? "FAILED",
    error_message: error_message ?? "it failed",
    error_detail,
  };
  const data = { workspace_id, sync_id, sync_run_id, canceled, command_id: null, ...error };
  return { runId, end: { type: "trial.failed", data } };
}

function exchangeOf({ request, response }: Schemas["TestRun"]) {
  if (request === null || response === null) return null;
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
  );
  return { request: { ...request, headers }, response };
}
