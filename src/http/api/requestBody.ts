/**
 * Brings the body of a request into the one form that the routes check: JSON, within limits. Clients in the wild send a
 * JSON content type without a body, with parameters, or neither (api-clients.md 4).
 */
import type { Context } from "hono";
import { type Headed, headerOf } from "../requestHead.ts";
import type { RequestBody } from "./apiEnv.ts";
import { ApiRefusal } from "./apiErrors.ts";
import { jsonFault } from "./jsonFault.ts";
import type { Step } from "./step.ts";

/** Larger than any object of ours. Source: ours. */
export const MAX_BODY_BYTES = 1_048_576;
/** Deeper than any object of ours. Source: ours. */
export const MAX_DEPTH = 64;

/** `application/json`, or a type that says it is JSON by its suffix; with whatever parameters. */
const JSON_TYPE = /^application\/(?:[a-z0-9.-]+\+)?json\s*(?:;|$)/i;

/** Methods whose bodies mean something. */
const WITH_BODY = new Set(["POST", "PUT", "PATCH", "DELETE"]);

const NO_BODY: RequestBody = { text: "{}", value: {} };

/**
 * Reads the body once, refuses what is no JSON, too large or too deep, and leaves it for the routes; no body is read as
 * `{}`, whatever type it has. @throws ApiRefusal 400, 413 or 415.
 */
export const requestBody: Step = (context) => {
  refuseUnstorable(context);
  if (!WITH_BODY.has(context.req.method)) return undefined;
  refuseEncoded(context);
  context.set("body", NO_BODY);
  const length = headerOf(context, "content-length");
  const isChunked = headerOf(context, "transfer-encoding") !== null;
  if (!isChunked && (length === null || length === "0")) return undefined;
  return readText(context, isChunked ? null : Number(length)).then((text) => {
    if (text === "") return undefined;
    refuseOtherTypes(headerOf(context, "content-type"));
    context.set("body", { text, value: usableValue(text) });
    return undefined;
  });
};

function refuseOtherTypes(type: string | null): void {
  if (type !== null && JSON_TYPE.test(type)) return;
  const said = type === null ? "none was named" : `this was sent as ${type.slice(0, 100)}`;
  throw new ApiRefusal(415, `Send the body as JSON, with Content-Type: application/json; ${said}.`);
}

/** What unpacks to more than the limit would have to be unpacked to be known. */
function refuseEncoded(context: Headed): void {
  const coding = headerOf(context, "content-encoding")?.trim().toLowerCase();
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

/** `length` in bytes, null where it is not known beforehand. */
async function readText({ req: { raw } }: Context, length: number | null): Promise<string> {
  if (length !== null && length > MAX_BODY_BYTES) throw tooLarge();
  // With a length the parser of HTTP holds the sender to it.
  const bytes = length === null ? await readBounded(raw) : new Uint8Array(await raw.arrayBuffer());
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

function usableValue(text: string): object {
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
  return value;
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
