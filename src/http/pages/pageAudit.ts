/** The audit of the pages behind links: each form that was sent with a link leaves an entry, also one that was refused. */
import type { MiddlewareHandler } from "hono";
import type { AuditEntry } from "../../configuration/apiAudit.ts";
import type { Link } from "../../configuration/links.ts";
import { userAgentOf } from "../api/audit.ts";
import { addressOf } from "../requestHead.ts";
import { LINK_BASE } from "./linkAddress.ts";
import { actorOf } from "./linkVisit.ts";
import type { PageEnv } from "./pageEnv.ts";

/** What a form can ask for: nothing else that was sent is noted. */
const ACTIONS = ["save", "test", "add"];

/** Leaves the entry when the answer stands; needs the link. */
export function pageAudit({
  add,
  now,
}: {
  add(entry: AuditEntry): void;
  now(): Date;
}): MiddlewareHandler<PageEnv> {
  return async (context, next) => {
    await next();
    const { link, action, savedId, requestId } = context.var;
    const objectId = savedId ?? objectOf(link);
    add({
      at: now(),
      token_id: null,
      link_id: link.id,
      token_name: actorOf(link),
      workspace_id: link.workspace_id,
      method: context.req.method,
      route: routeOf(action),
      object_id: objectId === null ? null : String(objectId),
      status: context.res.status,
      address: addressOf(context),
      user_agent: userAgentOf(context),
      request_id: requestId,
    });
  };
}

/** The path without the token, which is a secret. */
function routeOf(action: string | undefined): string {
  const known = ACTIONS.find((each) => each === action);
  return `${LINK_BASE}/{token}${known === undefined ? "" : `?action=${known}`}`;
}

function objectOf(link: Link): number | null {
  return link.source_id ?? link.destination_id ?? link.sync_id;
}
