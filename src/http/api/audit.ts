/**
 * The audit of the management API: each writing request that got past its token leaves an entry, also one that was
 * refused. Entries are gathered for a moment, so that no request waits for them.
 */
import type { Context, MiddlewareHandler } from "hono";
import type { AuditEntry } from "../../configuration/apiAudit.ts";
import { type Headed, headerOf } from "../requestHead.ts";
import type { ApiEnv, FoundRoute } from "./apiEnv.ts";

/** Longer ones are cut. */
const MAX_AGENT_CHARS = 200;
const MAX_OBJECT_CHARS = 200;

const READING = new Set(["GET", "HEAD", "OPTIONS"]);

/** Leaves the entry when the answer stands; unknown paths leave none. */
export function audit({
  add,
  now,
}: {
  add(entry: AuditEntry): void;
  now(): Date;
}): MiddlewareHandler<ApiEnv> {
  return async (context, next) => {
    if (READING.has(context.req.method)) return next();
    await next();
    const route = context.get("route");
    if (route === null || route === undefined) return undefined;
    const caller = context.get("caller");
    add({
      at: now(),
      token_id: caller.tokenId,
      link_id: null,
      token_name: caller.name,
      workspace_id: caller.kind === "workspace" ? caller.workspaceId : null,
      method: context.req.method,
      route: route.path,
      object_id: objectIn(route, context) ?? (await createdObject(context)),
      status: context.res.status,
      address: caller.address,
      user_agent: userAgentOf(context),
      request_id: context.get("requestId"),
    });
    return undefined;
  };
}

/** What sent a request, as it says itself, shortened; null when it says nothing. */
export function userAgentOf(context: Headed): string | null {
  // Headers may hold any byte.
  // oxlint-disable-next-line no-control-regex -- those are what goes
  const text = headerOf(context, "user-agent")?.replace(/[\u0000-\u001f\u007f]/g, " ");
  return text?.slice(0, MAX_AGENT_CHARS) ?? null;
}

/** What stands in the path for its parameters, with slashes between; null for a path without any. */
function objectIn({ places }: FoundRoute, { req }: Context): string | null {
  if (places.length === 0) return null;
  const given = req.path.split("/");
  return places
    .map((place) => given.at(place) ?? "")
    .join("/")
    .slice(0, MAX_OBJECT_CHARS);
}

/** The id of what was made, which only the answer names. */
async function createdObject({ req, res }: Context): Promise<string | null> {
  if (req.method !== "POST" || !res.ok) return null;
  const { data } = (await res.clone().json()) as { data?: Record<string, unknown> };
  const id = data?.["id"] ?? data?.["sync_id"];
  return typeof id === "number" || typeof id === "string" ? String(id) : null;
}
