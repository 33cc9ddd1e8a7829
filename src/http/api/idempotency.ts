/**
 * `Idempotency-Key` on POST: a request that is repeated with the same key within a day is answered as the first time and
 * done once. Keys are of one token each. Should the process die between doing and remembering, a repetition after some
 * minutes does it again: at least once, as everywhere.
 */
import type { Context, MiddlewareHandler } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { KeptAnswer, KeyedRequest, KeyState } from "../../configuration/idempotency.ts";
import { headerOf } from "../requestHead.ts";
import type { ApiEnv } from "./apiEnv.ts";
import { ApiRefusal } from "./apiErrors.ts";

/** Where keys are known. */
export interface IdempotencyDesk {
  begin(wanted: KeyedRequest): Promise<KeyState>;
  keep(wanted: KeyedRequest, answer: KeptAnswer): Promise<void>;
  forget(wanted: KeyedRequest): Promise<void>;
}

/** Printable characters, as long as any id that clients make. */
const KEY_FORM = /^[\x20-\x7e]{1,255}$/;
const KEPT_HEADERS = ["Content-Type", "ETag", "Location"];
/** Refusals that can be otherwise a moment later, or for another token: to repeat the request is to try again. */
const NOT_KEPT = new Set([401, 403, 409, 425, 429]);

/** After the body was read. */
export function idempotency(desk: IdempotencyDesk): MiddlewareHandler<ApiEnv> {
  return async (context, next) => {
    const key = context.req.method === "POST" ? headerOf(context, "idempotency-key") : null;
    if (key === null) return next();
    if (!KEY_FORM.test(key)) {
      throw new ApiRefusal(400, "Idempotency-Key is not usable: send 1 to 255 printable ASCII characters.");
    }
    const wanted = {
      tokenId: context.get("caller").tokenId,
      key,
      request: `${context.req.method} ${targetOf(context)}\n${context.get("body").text}`,
    };
    const state = await desk.begin(wanted);
    if (state === "other_request") {
      throw new ApiRefusal(422, "This Idempotency-Key was used for another request: use a new key for each.");
    }
    if (state === "under_way") {
      throw new ApiRefusal(409, "The first request with this Idempotency-Key is still under way.", {
        headers: { "Retry-After": "1" },
      });
    }
    if (state !== "begun") {
      const headers = { ...state.headers, "Idempotency-Replayed": "true" };
      return context.body(state.body, state.status as ContentfulStatusCode, headers);
    }
    await next();
    const { status } = context.res;
    if (status >= 500 || NOT_KEPT.has(status)) await desk.forget(wanted);
    else await desk.keep(wanted, await answerOf(context.res));
    return undefined;
  };
}

/** Path and query as they were sent. */
function targetOf({ req }: Context): string {
  return req.url.slice(req.url.indexOf("/", req.url.indexOf("://") + 3));
}

async function answerOf(answer: Response): Promise<KeptAnswer> {
  const headers: Record<string, string> = {};
  for (const name of KEPT_HEADERS) {
    const value = answer.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  return { status: answer.status, headers, body: await answer.clone().text() };
}
