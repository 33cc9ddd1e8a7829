/** Who asks, as the routes of the management API see it. */
import type { Scope } from "../../security/apiToken.ts";

export type { Scope };

/** The one who asks, as their token says. A workspace key stands for one workspace, a personal token for the installation. */
export type Caller = {
  tokenId: number;
  /** Name of the token: what the audit and the log's events call this caller. */
  name: string;
  scopes: ReadonlySet<Scope>;
  /** Where the request came from: address of its connection. */
  address: string;
} & ({ kind: "workspace"; workspaceId: number } | { kind: "personal" });

/** A route that a request is for. */
export interface FoundRoute {
  /** As the document writes it, such as `/syncs/{id}`. */
  path: string;
  scope: Scope;
  token: "workspace" | "personal";
}

/** Variables that the middleware leaves for the routes. */
export interface ApiEnv {
  Variables: {
    caller: Caller;
    /** Of the caller's workspace key; routes of personal tokens do not read it. */
    workspaceId: number;
    /** Of this request; answered in X-Request-Id. */
    requestId: string;
    /** What the document says of the route; null where there is none. */
    route: FoundRoute | null;
  };
}

/** How this caller is named as the actor of a change: in events, in the audit and in runs. */
export function actorOf(caller: Caller): string {
  return `API token ${caller.name}`;
}
