/** What every answer of the management API and of the pages carries: the request's id, and that nobody is to keep or guess at it. */
import { randomUUID } from "node:crypto";
import type { MiddlewareHandler } from "hono";

/** The variable that it leaves. */
export interface RequestIdEnv {
  Variables: {
    /** Answered in X-Request-Id. */
    requestId: string;
  };
}

/** A client's own id is taken over when it is one that can be shown anywhere. */
const ID_FORM = /^[\w.-]{1,64}$/;

/** First of all, so that refusals carry them too. */
export function requestId(): MiddlewareHandler<RequestIdEnv> {
  return (context, next) => {
    const given = context.req.raw.headers.get("X-Request-Id");
    const id = given !== null && ID_FORM.test(given) ? given : randomUUID();
    context.set("requestId", id);
    context.header("X-Request-Id", id);
    context.header("X-Content-Type-Options", "nosniff");
    context.header("Cache-Control", "no-store");
    return next();
  };
}
