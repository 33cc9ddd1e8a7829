/** Holds the query, the path's parameters and the body of a request against what its route says of them. */
import type { RouteConfig, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { ApiEnv } from "./apiEnv.ts";
import { errorAnswer } from "./apiErrors.ts";
import { inputProblems } from "./inputProblems.ts";

type Target = "query" | "param" | "json";

/** One part of a request, and how it is read. */
interface Part {
  target: Target;
  schema: z.ZodType;
  read(context: Context<ApiEnv>): unknown;
}

/** What a route says of its input, to be checked in one go: leaves what is valid, or returns the refusal. */
export function inputCheck({ request }: RouteConfig): (context: Context<ApiEnv>) => Response | undefined {
  const parts: Part[] = [];
  if (request?.query) parts.push({ target: "query", schema: request.query as z.ZodType, read: queryOf });
  if (request?.params) {
    parts.push({ target: "param", schema: request.params as z.ZodType, read: ({ req }) => req.param() });
  }
  const body = request?.body?.content["application/json"];
  if (body !== undefined && "schema" in body) {
    const schema = body.schema as z.ZodType;
    parts.push({ target: "json", schema, read: (context) => context.get("body").value });
  }
  return (context) => {
    for (const { target, schema, read } of parts) {
      const checked = schema.safeParse(read(context));
      if (!checked.success) return refusal(context, target, checked.error);
      context.req.addValidatedData(target, checked.data as object);
    }
    return undefined;
  };
}

/** A parameter that stands once is a text, one that stands several times a list. */
function queryOf({ req }: Context<ApiEnv>): Record<string, string | string[]> {
  if (!req.url.includes("?")) return {};
  const all = Object.entries(req.queries()).map(([name, values]) => {
    const [first = ""] = values;
    return [name, values.length === 1 ? first : values] as const;
  });
  return Object.fromEntries(all);
}

/** Each fault by its field; a path whose parameters are not valid is one that does not exist. */
function refusal(context: Context<ApiEnv>, target: Target, { issues }: z.ZodError): Response {
  if (target === "param") return errorAnswer(context, 404, "Not found");
  const problems = inputProblems(issues);
  const [first] = problems;
  const message = first === undefined ? "The request is not valid." : sentence(first);
  return errorAnswer(context, 400, message, problems);
}

function sentence({ field, message }: { field: string; message: string }): string {
  return field === "" ? message : `${field}: ${message}`;
}
