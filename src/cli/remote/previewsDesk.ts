/** Previews over the API; the source is read from the server. */
import { ApiError, type Client } from "../../client/client.ts";
import { AppError } from "../../domain/errors.ts";
import type { PreviewsDesk } from "../desks.ts";
import { findSync } from "./findNamed.ts";

/** The server gives the source 40 s: so long and its own time, ms. */
const TIMEOUT_MS = 60_000;

/** The desk. */
export function remotePreviewsDesk(client: Client): PreviewsDesk {
  return {
    preview: async ({ rows, ...wanted }) => {
      const { id } = await findSync(client, wanted);
      // Once: a source that does not answer is told at once.
      const call = { timeoutMs: TIMEOUT_MS, retries: 0 };
      return (await client.previewSync({ path: { id }, body: { rows } }, call).catch(failed)).data;
    },
  };
}

/** A source that is away, or that the sync does not fit, is no fault of the server or of what was asked. */
function failed(error: unknown): never {
  const [, code, message] = (error instanceof ApiError && /^([A-Z_]+): (.+)$/s.exec(error.message)) || [];
  if (code === undefined || message === undefined) throw error;
  throw new AppError(code, message, { cause: error });
}
