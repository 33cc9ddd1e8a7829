/**
 * Brings the body of a request into the one form that the routes check: JSON, within limits. Clients in the wild send a
 * JSON content type without a body, with parameters, or neither (api-clients.md 4).
 */
import type { Context, MiddlewareHandler } from "hono";
import type { ApiEnv } from "./apiEnv.ts";
import { ApiRefusal } from "./apiErrors.ts";
import { jsonFault } from "./jsonFault.ts";

/** Larger than any object of ours. Source: ours. */
export const MAX_BODY_BYTES = 1_048_576;
/** Deeper than any object of ours. Source: ours. */
export const MAX_DEPTH = 64;

/** `application/json`, or a type that says it is JSON by its suffix; with whatever parameters. */
const JSON_TYPE = /^application\/(?:[a-z0-9.-]+\+)?json\s*(?:;|$)/i;

/** Methods whose bodies mean something. */
const WITH_BODY = new Set(["POST", "PUT", "PATCH", "DELETE"]);

/**
 * Reads the body once, refuses what is no JSON, too large or too deep, and leaves it for the routes; no body is read as
 * `{}`. @throws ApiRefusal 400, 413 or 415.
 */
export function requestBody(): MiddlewareHandler<ApiEnv> {
  return async (context, next) => {
    refuseUnstorable(context);
    if (WITH_BODY.has(context.req.method)) {
      refuseEncoded(context);
      const text = await readText(context);
      const type = context.req.raw.headers.get("Content-Type");
      if (text === "") {
        // Whatever type it has: nothing is nothing.
        leave(context, "{}", type);
      } else {
        refuseOtherTypes(type);
        refuseUnusable(text);
        leave(context, text, type);
      }
    }
    await next();
  };
}

/** Hono reads a body once and keeps it: what stands there is what all readers get. */
function leave(context: Context, text: string, type: string | null): void {
  // What is kept is the promise, whatever the type says.
  (context.req.bodyCache as { text?: unknown }).text = Promise.resolve(text);
  if (type !== JSON_MEDIA_TYPE) context.req.raw.headers.set("Content-Type", JSON_MEDIA_TYPE);
}

const JSON_MEDIA_TYPE = "application/json";

function refuseOtherTypes(type: string | null): void {
  if (type !== null && JSON_TYPE.test(type)) return;
  const said = type === null ? "none was named" : `this was sent as ${type.slice(0, 100)}`;
  throw new ApiRefusal(415, `Send the body as JSON, with Content-Type: application/json; ${said}.`);
}

/** What unpacks to more than the limit would have to be unpacked to be known. */
function refuseEncoded({ req }: Context): void {
  const coding = req.raw.headers.get("Content-Encoding")?.trim().toLowerCase();
  if (coding === undefined || coding === "" || coding === "identity") return;
  throw new ApiRefusal(415, `Send the body as it is; this was sent as ${coding.slice(0, 100)}.`, {
    headers: { "Accept-Encoding": "identity" },
  });
}

const tooLarge = (): ApiRefusal =>
  new ApiRefusal(413, `The body is larger than ${MAX_BODY_BYTES} bytes, which is the most.`, {
    // What follows on this connection would be the rest of the body.
    headers: { Connection: "close" },
  });

async function readText(context: Context): Promise<string> {
  const { raw } = context.req;
  const length = raw.headers.get("Content-Length");
  const isChunked = raw.headers.get("Transfer-Encoding") !== null;
  if (!isChunked && (length === null || length === "0")) return "";
  if (length !== null && Number(length) > MAX_BODY_BYTES) throw tooLarge();
  // With a length the parser of HTTP holds the sender to it.
  const bytes =
    isChunked || length === null ? await readBounded(raw) : new Uint8Array(await raw.arrayBuffer());
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ApiRefusal(400, "The body is not UTF-8.");
  }
}

async function readBounded(raw: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const stream = (raw.body ?? []) as AsyncIterable<Uint8Array>;
  for await (const chunk of stream) {
    size += chunk.byteLength;
    if (size > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function refuseUnusable(text: string): void {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const fault = jsonFault(text);
    const where =
      fault === null ? "" : ` at position ${fault.position} (line ${fault.line}, column ${fault.column})`;
    throw new ApiRefusal(400, `The body is no JSON: ${fault?.reason ?? "something is wrong"}${where}.`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ApiRefusal(400, 'The body is no JSON object: send one such as {"name": "…"}.');
  }
  if (depthOf(value) > MAX_DEPTH) {
    throw new ApiRefusal(400, `The body is nested deeper than ${MAX_DEPTH} levels, which is the most.`);
  }
}

/** Levels of objects and lists, at most one more than is allowed. @throws ApiRefusal for text that Postgres cannot hold. */
function depthOf(root: object): number {
  let level: unknown[] = [root];
  for (let depth = 1; ; depth += 1) {
    const below: unknown[] = [];
    for (const node of level) {
      for (const [key, value] of Object.entries(node as object)) {
        if (isUnstorable(key) || (typeof value === "string" && isUnstorable(value))) throw unstorable();
        if (typeof value === "object" && value !== null) below.push(value);
      }
    }
    if (below.length === 0 || depth > MAX_DEPTH) return depth;
    level = below;
  }
}

/** Postgres keeps neither the character zero nor half of a surrogate pair. */
function isUnstorable(text: string): boolean {
  return text.includes("\u0000") || !text.isWellFormed();
}

const unstorable = (): ApiRefusal =>
  new ApiRefusal(
    400,
    "The request holds the character U+0000 or half a surrogate pair, which no text can hold.",
  );

function refuseUnstorable({ req }: Context): void {
  if (req.raw.url.includes("%00")) throw unstorable();
}
