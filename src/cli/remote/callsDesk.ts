/** Requests to destinations over the API, which has the latest hundred. */
import type { Client, Schemas } from "../../client/client.ts";
import type { DestinationCall } from "../../projections/calls.ts";
import type { CallsDesk } from "../desks.ts";
import { findSync } from "./findNamed.ts";

/** The desk. */
export function remoteCallsDesk(client: Client): CallsDesk {
  return {
    withLatest: async ({ runId, ...wanted }, use) => {
      const { id } = await findSync(client, wanted);
      await use(async (limit, since) => {
        const { data } = await client.listSyncApiCalls({
          path: { id },
          query: { limit, sync_run_id: runId },
        });
        const calls = data.map(callOf);
        if (since === undefined) return calls;
        return calls.filter((call) => call.started_at.getTime() + call.duration_ms >= since.getTime());
      });
    },
  };
}

function callOf(call: Schemas["ApiCall"]): DestinationCall {
  const { started_at, request_headers: headers } = call;
  return {
    ...call,
    started_at: new Date(started_at),
    request_headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, String(value)]),
    ),
  };
}
