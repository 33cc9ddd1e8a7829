/** What a request passes on its way to its route: steps, one after the other, and what goes around all that follows. */
import type { Context, MiddlewareHandler } from "hono";
import type { ApiEnv } from "./apiEnv.ts";

/** Answers the request itself, throws, or lets it go on; without a promise where nothing is waited for. */
export type Step = (context: Context<ApiEnv>) => Response | undefined | Promise<Response | undefined>;

/** All in one middleware: for each one Hono waits several turns of promises, which most steps have no need of. */
export function steps(
  all: readonly Step[],
  around: MiddlewareHandler<ApiEnv> = (_context, next) => next(),
): MiddlewareHandler<ApiEnv> {
  return async (context, next) => {
    for (const step of all) {
      const given = step(context);
      const answer = given instanceof Promise ? await given : given;
      if (answer !== undefined) return answer;
    }
    return around(context, next);
  };
}
