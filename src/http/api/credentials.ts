/** Who asks: reads the credentials of a request, and holds its route's right against them. */
import type { Context } from "hono";
import type { ApiToken } from "../../configuration/apiTokens.ts";
import { addressOf } from "../requestHead.ts";
import type { ApiEnv, Caller } from "./apiEnv.ts";
import { ApiRefusal, errorAnswer } from "./apiErrors.ts";
import type { RouteTable } from "./routeTable.ts";
import type { Step } from "./step.ts";

/** What the check asks of the rest of Egret. */
export interface CredentialsDesk {
  verify(token: string): ApiToken | null | Promise<ApiToken | null>;
  /** Told of each use; must return at once. */
  used(tokenId: number): void;
  /** Told of each request without a good token; after how many seconds this address may go on, 0 for now. */
  refused(address: string): number;
}

/** Longer than any credentials of ours: what is longer is not even decoded. */
const MAX_HEADER_CHARS = 512;
/** User of the Basic form. Source: docs; api-clients.md 0. */
const BASIC_USER = "bearer";

/** Lets through whom a good token names, and leaves them as `caller`; everybody else gets the same 401. */
export function authenticate({ verify, used, refused }: CredentialsDesk): Step {
  const admit = (context: Context<ApiEnv>, token: ApiToken | null): Response | undefined => {
    const address = addressOf(context);
    if (token === null) {
      const waitS = refused(address);
      if (waitS > 0) throw tooMany(waitS);
      context.header("WWW-Authenticate", 'Bearer realm="egret"');
      return errorAnswer(context, 401, "Access denied");
    }
    used(token.id);
    context.set("caller", callerOf(token, address));
    if (token.workspaceId !== null) context.set("workspaceId", token.workspaceId);
    return undefined;
  };
  return (context) => {
    const text = tokenIn(context.req.raw.headers.get("Authorization"));
    const found = text === null ? null : verify(text);
    return found instanceof Promise ? found.then((token) => admit(context, token)) : admit(context, found);
  };
}

/** Too many requests; the wait in whole seconds. */
export function tooMany(waitS: number): ApiRefusal {
  return new ApiRefusal(429, `Too many requests: wait ${waitS} s.`, {
    headers: { "Retry-After": String(waitS) },
  });
}

function callerOf({ id, name, scopes, kind, workspaceId }: ApiToken, address: string): Caller {
  const common = { tokenId: id, name, scopes, address };
  if (kind === "workspace" && workspaceId !== null) return { ...common, kind, workspaceId };
  return { ...common, kind: "personal" };
}

/** The token of an Authorization header: Bearer, or Basic with the user `bearer`; null when there is none. */
export function tokenIn(header: string | null): string | null {
  if (header === null || header.length > MAX_HEADER_CHARS) return null;
  const [, scheme = "", value = ""] = /^(\w+) +(\S+)$/.exec(header.trim()) ?? [];
  switch (scheme.toLowerCase()) {
    case "bearer":
      return value;
    case "basic": {
      const pair = Buffer.from(value, "base64").toString("utf8");
      // At the first colon only: tokens hold one themselves.
      const colon = pair.indexOf(":");
      return pair.slice(0, colon) === BASIC_USER ? pair.slice(colon + 1) : null;
    }
    default:
      return null;
  }
}

const ALLOWED_KIND = {
  workspace: "This needs a workspace key; a personal token is for /workspaces alone.",
  personal: "This needs a personal token; a workspace key is for everything but /workspaces.",
};

/** Finds the route, and refuses what is none (404, 405) and what the caller has no right to (403). */
export function authorize(table: RouteTable, base: string): Step {
  return (context) => {
    const { method, path } = context.req;
    const bare = path.slice(base.length).replace(/\/$/, "");
    const found = table.find(method, bare === "" ? "/" : bare);
    if ("methods" in found) {
      if (found.methods.length === 0) return errorAnswer(context, 404, "Not found");
      const allow = found.methods.join(", ");
      throw new ApiRefusal(405, `${method} is not possible here; possible: ${allow}.`, {
        headers: { Allow: allow },
      });
    }
    const { scope, token } = found.route;
    const caller = context.get("caller");
    context.set("route", found.route);
    if (caller.kind !== token) throw new ApiRefusal(403, ALLOWED_KIND[token]);
    if (!caller.scopes.includes(scope)) {
      const has = caller.scopes.join(", ");
      throw new ApiRefusal(403, `This needs the scope ${scope}; this token has ${has}.`);
    }
    return undefined;
  };
}
