/** What configured objects are changed with, from what the API has. */
import type { ObjectDesk } from "../../configuration/objectDesk.ts";
import { ASKED_BY_API } from "../../runtime/sourceRefresh.ts";
import { postgresSource } from "../../sources/postgres.ts";
import type { ApiDesk } from "./apiDesk.ts";

/** The desk of configured objects; sources are asked with short time limits. */
export function configurationDesk({ db, box, outbound }: ApiDesk): ObjectDesk {
  const { allowHttp, outboundAllow } = outbound;
  const describe: ObjectDesk["describe"] = (source, object) =>
    postgresSource.describeObject(source, object, ASKED_BY_API);
  return { db, box, describe, allowHttp, outboundAllow };
}
