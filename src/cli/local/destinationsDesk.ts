/** Destinations over our Postgres; their tests go out from here. */
import { setPaused } from "../../configuration/operations.ts";
import { NotFound } from "../../domain/errors.ts";
import { testDestinations } from "../../runtime/trials/connectionTest.ts";
import { readOutbound } from "../../security/outboundPools.ts";
import { VERSION } from "../../version.ts";
import type { DestinationsDesk } from "../desks.ts";
import { findDestinationNamed, findWorkspace } from "../findConfigured.ts";
import { findServices, type ReachOptions, secretBoxOf, withDatabase } from "../reach.ts";

/** The desk. */
export async function localDestinationsDesk(options: ReachOptions): Promise<DestinationsDesk> {
  const reach = await findServices(options);
  const box = secretBoxOf(reach);
  return {
    setPaused: ({ name: wanted, workspace }, paused) =>
      withDatabase(reach, async ({ db }) => {
        const { id, name } = await findDestinationNamed(db, await findWorkspace(db, workspace), wanted);
        const actor = `egret destination ${paused ? "pause" : "resume"}`;
        return { name, isChanged: await setPaused({ db, box, kind: "destination", id, actor }, paused) };
      }),
    test: ({ name: wanted, workspace }) => {
      readOutbound(reach.outbound);
      return withDatabase(reach, async ({ db }) => {
        const { id, name } = await findDestinationNamed(db, await findWorkspace(db, workspace), wanted);
        const [tested] = await testDestinations({ db, box, version: VERSION }, [id], reach.outbound);
        if (tested === undefined) throw new NotFound(`destination ${name} was deleted meanwhile`);
        return tested;
      });
    },
  };
}
