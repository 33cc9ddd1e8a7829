/** How the management API describes a route: once, for the document, the checks of its input and the rights it asks for. */
import { createRoute, OpenAPIHono, type RouteConfig, z } from "@hono/zod-openapi";
import type { Handler } from "hono";
import type { z as zod } from "zod";
import type { ApiEnv, Scope } from "./apiEnv.ts";
import { errorSchema } from "./apiErrors.ts";
import { operationIdOf } from "./operationId.ts";
import { inputCheck } from "./requestInput.ts";

/** Digits only, below 2^53; anything else is an object that does not exist. */
export const idParam = z
  .string()
  .regex(/^[1-9]\d{0,15}$/)
  .transform(Number)
  .refine(Number.isSafeInteger);

/** `{id}` of a path. */
export const idParams = z.object({
  id: idParam.openapi({ type: "integer", format: "int64", minimum: 1, example: 42 }),
});

/** An id in a body: a number, or the same as a text of digits (api-clients.md 4). */
export const idInBody = z
  .union(
    [
      z.int().positive(),
      z
        .string()
        .regex(/^[1-9]\d{0,15}$/)
        .transform(Number)
        .refine(Number.isSafeInteger),
    ],
    { error: "Give an id, such as 42." },
  )
  .openapi({ type: "integer", format: "int64", minimum: 1 });

/** Statuses of errors that a route can answer beside those that all have. */
type Refusals = readonly (403 | 404 | 409 | 410 | 412 | 425 | 429 | 503)[];

/** A JSON answer of a route. */
export function json<T extends zod.ZodType>(schema: T, description: string, example?: unknown) {
  return {
    description,
    content: { "application/json": { schema, ...(example === undefined ? {} : { example }) } },
  };
}

/** A JSON body of a request; keys that are not known are ignored, since clients send some. */
export function jsonBody<T extends zod.ZodType>(schema: T, example: unknown, required = true) {
  return { required, content: { "application/json": { schema, example } } };
}

/**
 * A route of the document with what all have: its right (as `x-egret-scope`), whether it is for a personal token, its security and its errors.
 * `tag` groups it in the document.
 */
export function endpoint<R extends RouteConfig>(
  route: R,
  {
    tag,
    scope,
    token = "workspace",
    refusals = [],
  }: { tag: string; scope: Scope; token?: "workspace" | "personal"; refusals?: Refusals },
) {
  const failures = Object.fromEntries(
    [400, 401, 403, 429, 500, ...refusals].map((status) => [
      status,
      json(errorSchema, MEANINGS[status] ?? "refused"),
    ]),
  );
  const described = createRoute({
    ...route,
    operationId: route.operationId ?? operationIdOf(route.method, route.path),
    tags: [tag],
    security: [{ bearer: [] }, { basic: [] }],
    "x-egret-scope": scope,
    "x-egret-token": token,
  });
  // Errors are thrown, never returned by a handler, so its type needs only the answers of success.
  Object.assign(described.responses, { ...failures, ...described.responses });
  return described;
}

const MEANINGS: Readonly<Record<number, string>> = {
  400: "something in the request is wrong; `errors` names each field",
  401: "no token, or one that is unknown, revoked or expired",
  403: "the token's kind or scope does not allow this",
  404: "no such object in this workspace",
  409: "not possible as things stand",
  410: "past its retention",
  412: "changed since the ETag that was given",
  425: "not yet: the run is still under way",
  429: "too many requests; `Retry-After` says when to go on",
  500: "a fault of ours",
  503: "a service behind the API does not answer",
};

/**
 * A room of routes. They are described as the library has it and checked by our own `inputCheck`: the library makes up to
 * four middlewares of each route, and reads the body once more.
 */
export function rooms(): OpenAPIHono<ApiEnv> {
  const room = new OpenAPIHono<ApiEnv>({ strict: false });
  const openapi = (route: ReturnType<typeof createRoute>, handler: Handler<ApiEnv>) => {
    room.openAPIRegistry.registerPath(route);
    const check = inputCheck(route);
    room.on(
      route.method,
      route.getRoutingPath(),
      (context, next) => check(context) ?? handler(context, next),
    );
    return room;
  };
  room.openapi = openapi as typeof room.openapi;
  return room;
}
