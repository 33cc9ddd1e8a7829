/** What every answer of the management API and of the pages carries: the request's id, and that nobody is to keep or guess at it. */
import { randomUUID } from "node:crypto";
import { type Headed, headerOf } from "../requestHead.ts";

/** What it works on: a context of Hono, with the variable that it leaves. */
interface Identified extends Headed {
  set(name: "requestId", id: string): void;
}

/** A client's own id is taken over when it is one that can be shown anywhere. */
const ID_FORM = /^[\w.-]{1,64}$/;

/** First of all, so that refusals carry them too; as a step of the API, and for the pages. */
export function requestId(context: Identified): undefined {
  const given = headerOf(context, "x-request-id");
  const id = given !== null && ID_FORM.test(given) ? given : randomUUID();
  context.set("requestId", id);
  // On the server's own answer: as headers of Hono's they would make two objects of all headers for each request.
  const { outgoing } = context.env;
  outgoing.setHeader("X-Request-Id", id);
  outgoing.setHeader("X-Content-Type-Options", "nosniff");
  outgoing.setHeader("Cache-Control", "no-store");
}
