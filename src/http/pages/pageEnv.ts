/** What the pages behind links know of a request while they answer it. */
import type { HttpBindings } from "@hono/node-server";
import type { Link } from "../../configuration/links.ts";

/** What the server gives, and the variables of a form that was sent with a link; a page that is only shown has the first alone. */
export interface PageEnv {
  Bindings: HttpBindings;
  Variables: {
    /** Answered in X-Request-Id. */
    requestId: string;
    link: Link;
    /** What the form asks for; nothing when it was not read. */
    action?: string;
    /** Id of the source, destination or sync that was saved. */
    savedId?: number;
  };
}
