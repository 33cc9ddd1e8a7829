/** Previews over our Postgres and the source, which is read from here. */
import { readSync } from "../../configuration/store.ts";
import { NotFound } from "../../domain/errors.ts";
import { previewSync } from "../../engine/preview.ts";
import { shownRequest } from "../../runtime/trials/testSync.ts";
import type { PreviewsDesk } from "../desks.ts";
import { findSyncNamed, findWorkspace } from "../findConfigured.ts";
import { findServices, type ReachOptions, secretBoxOf, withDatabase } from "../reach.ts";

/** Stands for the id that the run would have. */
const NO_RUN = 0;

/** The desk. */
export async function localPreviewsDesk(options: ReachOptions): Promise<PreviewsDesk> {
  const reach = await findServices(options);
  const box = secretBoxOf(reach);
  return {
    preview: async ({ name, workspace, rows }) => {
      const sync = await withDatabase(reach, async ({ db }) => {
        const { id } = await findSyncNamed(db, await findWorkspace(db, workspace), name);
        return readSync(db, box, id);
      });
      if (sync === null) throw new NotFound(`there is no sync "${name}"`);
      const { requests, invalid } = await previewSync({ sync, runId: NO_RUN, at: new Date() }, rows);
      const shown = requests.map((request) => {
        const { method, url } = shownRequest(sync.destination, request);
        return { method, url, rows: request.rows, body: request.body.toString("utf8") };
      });
      return { requests: shown, invalid };
    },
  };
}
