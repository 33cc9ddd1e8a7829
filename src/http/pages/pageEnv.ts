/** What the pages behind links know of a request while they answer it. */
import type { Link } from "../../configuration/links.ts";
import type { RequestIdEnv } from "../api/requestId.ts";

/** Variables of a form that was sent with a link; a page that is only shown has the first alone. */
export interface PageEnv {
  Variables: RequestIdEnv["Variables"] & {
    link: Link;
    /** What the form asks for; nothing when it was not read. */
    action?: string;
    /** Id of the source, destination or sync that was saved. */
    savedId?: number;
  };
}
