/** Who asks, as the routes of the management API see it. */
import type { HttpBindings } from "@hono/node-server";
import type { Scope } from "../../security/apiToken.ts";

export type { Scope };

/** The one who asks, as their token says. A workspace key stands for one workspace, a personal token for the installation. */
export type Caller = {
  tokenId: number;
  /** Name of the token: what the audit and the log's events call this caller. */
  name: string;
  scopes: readonly Scope[];
  /** Where the request came from: address of its connection. */
  address: string;
} & ({ kind: "workspace"; workspaceId: number } | { kind: "personal" });

/** A route that a request is for. */
export interface FoundRoute {
  /** As the document writes it, such as `/syncs/{id}`. */
  path: string;
  /** Where its parameters stand among the parts of a path, from the end: -2 for that one. */
  places: readonly number[];
  scope: Scope;
  token: "workspace" | "personal";
}

/** The body of a request; none is read as `{}`. */
export interface RequestBody {
  text: string;
  value: object;
}

/** What the server gives to each request, and the variables that the middleware leaves for the routes. */
export interface ApiEnv {
  Bindings: HttpBindings;
  Variables: {
    caller: Caller;
    /** Of the caller's workspace key; routes of personal tokens do not read it. */
    workspaceId: number;
    /** Of this request; answered in X-Request-Id. */
    requestId: string;
    /** What the document says of the route; null where there is none. */
    route: FoundRoute | null;
    /** Of requests by a method that has one. */
    body: RequestBody;
  };
}

/** How this caller is named as the actor of a change: in events, in the audit and in runs. */
export function actorOf(caller: Caller): string {
  return `API token ${caller.name}`;
}
