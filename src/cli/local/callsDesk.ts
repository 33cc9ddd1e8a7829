/** Requests to destinations over our Postgres. */
import { latestCalls } from "../../projections/calls.ts";
import type { CallsDesk } from "../desks.ts";
import { findSyncNamed, findWorkspace } from "../findConfigured.ts";
import { findServices, type ReachOptions, withDatabase } from "../reach.ts";

/** The desk. */
export async function localCallsDesk(options: ReachOptions): Promise<CallsDesk> {
  const reach = await findServices(options);
  return {
    withLatest: ({ name, workspace, runId }, use) =>
      withDatabase(reach, async ({ db }) => {
        const { id: syncId } = await findSyncNamed(db, await findWorkspace(db, workspace), name);
        await use((limit, since) => latestCalls(db, { syncId, runId, limit, since }));
      }),
  };
}
