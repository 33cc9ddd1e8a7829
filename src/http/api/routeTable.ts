/**
 * The routes of the document by method and path, so that what holds for all of them is decided in one place: which right
 * a route asks for, which methods a path knows, how a route is called in the audit.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { RegExpRouter } from "hono/router/reg-exp-router";
import { SmartRouter } from "hono/router/smart-router";
import { TrieRouter } from "hono/router/trie-router";
import { SCOPES } from "../../security/apiToken.ts";
import type { ApiEnv, FoundRoute } from "./apiEnv.ts";

/** What a path is: a route, or the methods that it has instead (none when it is unknown). */
export type Lookup = { route: FoundRoute } | { methods: readonly string[] };

/** Finds routes. */
export interface RouteTable {
  /** `path` is without /api/v1 and without a slash at its end. */
  find(method: string, path: string): Lookup;
}

/**
 * The table of all routes that were mounted.
 * @throws when one of them does not say what right it asks for: made without `endpoint`.
 */
export function routeTable(api: OpenAPIHono<ApiEnv>): RouteTable {
  const router = new SmartRouter<FoundRoute>({ routers: [new RegExpRouter(), new TrieRouter()] });
  const methods = new Set<string>();
  for (const definition of api.openAPIRegistry.definitions) {
    if (definition.type !== "route") continue;
    const { method, path, ...rest } = definition.route as { method: string; path: string };
    router.add(method.toUpperCase(), path.replaceAll(/\/{(.+?)}/g, "/:$1"), {
      path,
      places: placesIn(path),
      ...rightOf(path, rest),
    });
    methods.add(method.toUpperCase());
  }
  const match = (method: string, path: string): FoundRoute | undefined =>
    router.match(method, path)[0][0]?.[0];
  return {
    find: (method, path) => {
      const route = match(method === "HEAD" ? "GET" : method, path);
      if (route !== undefined) return { route };
      const known = [...methods].filter((other) => match(other, path) !== undefined);
      return { methods: known.includes("GET") ? [...known, "HEAD"] : known };
    },
  };
}

function placesIn(path: string): number[] {
  const parts = path.split("/");
  return parts.flatMap((part, index) => (part.startsWith("{") ? [index - parts.length] : []));
}

function rightOf(path: string, route: object): Pick<FoundRoute, "scope" | "token"> {
  const { "x-egret-scope": scope, "x-egret-token": token } = route as Record<string, unknown>;
  const found = SCOPES.find((name) => name === scope);
  if (found === undefined || (token !== "workspace" && token !== "personal")) {
    throw new Error(`the route ${path} does not say what right it asks for: describe it with endpoint()`);
  }
  return { scope: found, token };
}
