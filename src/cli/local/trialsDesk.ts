/** Dry and test runs over the services: asked for by commands, followed in the log. */
import { readTestExchange } from "../../engine/trials.ts";
import type { TrialsDesk } from "../desks.ts";
import { findSyncNamed, findWorkspace } from "../findConfigured.ts";
import { findServices, type ReachOptions, withDatabase, withLog } from "../reach.ts";
import { type TryOutRequest, tryOut } from "../tryOut.ts";

/** The desk. */
export async function localTrialsDesk(options: ReachOptions): Promise<TrialsDesk> {
  const reach = await findServices(options);
  return {
    dryRun: ({ name, workspace: wanted, isFull, timeoutMs, isShown }) =>
      withDatabase(reach, async ({ db }) => {
        const workspace = await findWorkspace(db, wanted);
        const sync = await findSyncNamed(db, workspace, name);
        const request: TryOutRequest = {
          workspaceId: workspace.id,
          syncId: sync.id,
          verb: "dry_run",
          payload: { force_full_sync: isFull },
          timeoutMs,
          isShown,
        };
        return withLog(reach, (open) => tryOut(open, db, request));
      }),
    test: ({ name, workspace: wanted, key, timeoutMs }) =>
      withDatabase(reach, async ({ db }) => {
        const workspace = await findWorkspace(db, wanted);
        const sync = await findSyncNamed(db, workspace, name);
        const request: TryOutRequest = {
          workspaceId: workspace.id,
          syncId: sync.id,
          verb: "test",
          payload: key === undefined ? {} : { identifier: key },
          timeoutMs,
          isShown: false,
        };
        const tried = await withLog(reach, (open) => tryOut(open, db, request));
        return { tried, exchange: await readTestExchange(db, tried.runId) };
      }),
  };
}
