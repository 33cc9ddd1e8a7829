/** The one error body that every client reads (api-clients.md 2), and what each of our errors becomes in it. */
import { z } from "@hono/zod-openapi";
import type { Context, ErrorHandler } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import {
  AppError,
  type FieldProblem,
  InUse,
  InvalidInput,
  NotFound,
  Unavailable,
  VersionConflict,
} from "../../domain/errors.ts";
import type { ApiDesk } from "./apiDesk.ts";
import type { ApiEnv } from "./apiEnv.ts";

/** What is asked for cannot be done as things stand: HTTP 409 unless another status is named. */
export class ApiRefusal extends AppError {
  readonly httpStatus: ContentfulStatusCode;
  readonly problems: readonly FieldProblem[];
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    httpStatus: ContentfulStatusCode,
    message: string,
    {
      problems = [],
      headers = {},
    }: { problems?: readonly FieldProblem[]; headers?: Record<string, string> } = {},
  ) {
    super(`HTTP_${httpStatus}`, message);
    this.httpStatus = httpStatus;
    this.problems = problems;
    this.headers = headers;
  }
}

/** In the document. `status` is a number for 401 and 404, since clients tell them by it. */
export const errorSchema = z
  .object({
    status: z.union([z.literal("error"), z.int()]),
    message: z.string(),
    code: z.int().optional().openapi({ description: "the HTTP status" }),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
  })
  .openapi("Error");

/** The body of an error. */
export function errorBody(
  status: number,
  message: string,
  problems: readonly FieldProblem[] = [],
): z.infer<typeof errorSchema> {
  const isNumeric = status === 401 || status === 404;
  return {
    status: isNumeric ? status : "error",
    message,
    code: status,
    ...(problems.length > 0 ? { errors: [...problems] } : {}),
  };
}

/** The error's answer. */
export function errorAnswer(
  context: Context,
  status: ContentfulStatusCode,
  message: string,
  problems: readonly FieldProblem[] = [],
): Response {
  return context.json(errorBody(status, message, problems), status);
}

/** An unknown object and one of another workspace answer alike. */
export const notFound = (): ApiRefusal => new ApiRefusal(404, "Not found");

/** Of Postgres. What the rooms look up first is still there for them, unless it goes in between. */
const FOREIGN_KEY_VIOLATION = "23503";

/** Answers for whatever a route throws; what nobody expected is logged and says nothing to the outside. */
export function onApiError({ logger }: Pick<ApiDesk, "logger">): ErrorHandler<ApiEnv> {
  return (error, context) => {
    if (error instanceof ApiRefusal) {
      for (const [name, value] of Object.entries(error.headers)) context.header(name, value);
      return errorAnswer(context, error.httpStatus, error.message, error.problems);
    }
    if (error instanceof InvalidInput) return errorAnswer(context, 400, error.message, error.problems);
    if (error instanceof NotFound) return errorAnswer(context, 404, "Not found");
    // A client that named the version it knows is told that precondition failed; without one it is a clash with another change.
    if (error instanceof VersionConflict) {
      return errorAnswer(context, context.req.header("If-Match") === undefined ? 409 : 412, error.message);
    }
    if (error instanceof InUse) return errorAnswer(context, 409, error.message);
    if ((error as { code?: unknown }).code === FOREIGN_KEY_VIOLATION) {
      return errorAnswer(
        context,
        409,
        "What this belongs to was deleted at the same moment: look at it again.",
      );
    }
    if (error instanceof Unavailable) {
      context.header("Retry-After", "5");
      return errorAnswer(context, 503, error.message);
    }
    const request = {
      id: context.get("requestId"),
      method: context.req.method,
      route: context.get("route")?.path,
    };
    logger.error({ err: error, request }, "api.failed");
    return errorAnswer(context, 500, "Something went wrong on our side; the server's log says what.");
  };
}
