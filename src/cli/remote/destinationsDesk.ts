/** Destinations over the API; their tests go out from the server. */
import type { Client } from "../../client/client.ts";
import type { DestinationsDesk } from "../desks.ts";
import { findDestination } from "./findNamed.ts";

/** The desk. */
export function remoteDestinationsDesk(client: Client): DestinationsDesk {
  return {
    setPaused: async (wanted, paused) => {
      const { id, name, paused: wasPaused } = await findDestination(client, wanted);
      await client.updateDestination({ path: { id }, body: { paused } });
      return { name, isChanged: paused !== wasPaused };
    },
    test: async (wanted) => {
      const { id, name } = await findDestination(client, wanted);
      const { data } = await client.testDestination({ path: { id } });
      return { name, ok: data.success, httpStatus: data.http_status, message: data.message };
    },
  };
}
