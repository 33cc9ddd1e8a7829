/** The operations of an OpenAPI document in the form in which a page shows them. */
import { type Schema, schemaText } from "./schemaText.ts";

/** The parts of the document that the page reads. */
export interface ReadableDocument {
  info: { title: string; version: string; description?: string };
  servers?: readonly { url: string }[];
  tags?: readonly { name: string; description?: string }[];
  paths?: Readonly<Record<string, Readonly<Record<string, DocumentedOperation>>>>;
  components?: { schemas?: Readonly<Record<string, Schema>> };
}

interface Media {
  schema?: Schema;
  example?: unknown;
}

interface Answer {
  description?: string;
  content?: Readonly<Record<string, Media>>;
}

interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  schema?: Schema & { example?: unknown };
  description?: string;
}

interface DocumentedOperation {
  summary?: string;
  description?: string;
  tags?: readonly string[];
  /** A reference is to what the introduction explains. */
  parameters?: readonly (Parameter | { $ref: string })[];
  requestBody?: { content?: Readonly<Record<string, Media>> };
  responses?: Readonly<Record<string, Answer>>;
  "x-egret-scope"?: string;
  "x-egret-token"?: string;
}

/** One operation, ready to be shown. */
export interface Operation {
  /** For links to it. */
  id: string;
  method: string;
  path: string;
  tag: string;
  summary: string;
  description: string;
  scope: string;
  token: string;
  parameters: { name: string; place: string; isRequired: boolean; type: string; description: string }[];
  body: Schema | null;
  /** What one types. */
  curl: string;
  answers: { status: string; text: string; schema: Schema | null; example: string | null }[];
  /** Beside those that every operation has. */
  refusals: { status: string; text: string }[];
}

/** Every operation answers with these, as the introduction says. */
const COMMON = new Set(["400", "401", "403", "429", "500"]);

const METHODS = new Set(["get", "post", "put", "patch", "delete"]);

/** All of them, in the order of the document; `base` is the address that examples use. */
export function operationsOf({ paths = {} }: ReadableDocument, base: string): Operation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([method]) => METHODS.has(method))
      .map(([method, operation]) => shown({ path, method, base }, operation)),
  );
}

function shown(
  { path, method, base }: { path: string; method: string; base: string },
  operation: DocumentedOperation,
): Operation {
  const { responses = {} } = operation;
  const media = operation.requestBody?.content?.["application/json"];
  return {
    id: `${method}${path.replaceAll(/[^A-Za-z0-9]+/g, "-")}`.replace(/-$/, ""),
    method: method.toUpperCase(),
    path,
    tag: operation.tags?.[0] ?? "",
    summary: operation.summary ?? "",
    description: operation.description ?? "",
    scope: operation["x-egret-scope"] ?? "",
    token: operation["x-egret-token"] ?? "",
    parameters: ownParameters(operation).map(({ name, in: place, required, schema = {}, description }) => ({
      name,
      place,
      isRequired: required === true,
      type: inOneLine(schemaText(schema)),
      description: description ?? schema.description ?? "",
    })),
    body: media?.schema ?? null,
    curl: curlOf({ url: base + exampleOf(path, operation), method, body: media?.example }),
    answers: Object.entries(responses).filter(isSuccess).map(shownAnswer),
    refusals: Object.entries(responses)
      .filter((response) => !isSuccess(response) && !COMMON.has(response[0]))
      .map(([status, { description = "" }]) => ({ status, text: description })),
  };
}

/** In a table's cell many alternatives wrap by themselves. */
const inOneLine = (text: string): string =>
  text
    .trim()
    .replace(/^\| /, "")
    .replaceAll(/\n +\| /g, " | ");

const isSuccess = ([status]: [string, Answer]): boolean => status.startsWith("2") || status.startsWith("3");

function shownAnswer([status, { description = "", content }]: [
  string,
  Answer,
]): Operation["answers"][number] {
  const [type, media] = Object.entries(content ?? {})[0] ?? [];
  return {
    status,
    text: type === undefined || type === "application/json" ? description : `${description} (${type})`,
    schema: media?.schema ?? null,
    example: media?.example === undefined ? null : JSON.stringify(media.example, null, 2),
  };
}

function ownParameters({ parameters = [] }: DocumentedOperation): Parameter[] {
  return parameters.filter((one): one is Parameter => "name" in one);
}

/** The path with examples for its parameters. */
function exampleOf(path: string, operation: DocumentedOperation): string {
  return path.replaceAll(/\{(.+?)\}/g, (_, name: string) => {
    const example = ownParameters(operation).find((one) => one.name === name)?.schema?.example;
    return typeof example === "number" || typeof example === "string"
      ? encodeURIComponent(String(example))
      : "42";
  });
}

/** Longer bodies stand over several lines. */
const LINE_CHARS = 100;

function curlOf({ url, method, body }: { url: string; method: string; body: unknown }): string {
  const lines = [`curl${method === "get" ? "" : ` -X ${method.toUpperCase()}`} "${url}"`];
  lines.push('-H "Authorization: Bearer $EGRET_TOKEN"');
  if (body !== undefined) {
    lines.push('-H "Content-Type: application/json"');
    const short = JSON.stringify(body);
    const text = short.length > LINE_CHARS ? JSON.stringify(body, null, 2) : short;
    lines.push(`-d '${text.replaceAll("'", "'\\''")}'`);
  }
  return lines.join(" \\\n  ");
}
