/**
 * Makes TypeScript types from the OpenAPI document of the management API. By hand, since the generators that are kept up
 * (openapi-typescript, @hey-api/openapi-ts) work through TypeScript's compiler API, which TypeScript 7 no longer has.
 */

/** JSON Schema as OpenAPI 3.1 has it, as far as the document uses it. */
interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  prefixItems?: Schema[];
  description?: string;
}

interface Media {
  content?: Record<string, { schema?: Schema }>;
}

interface Operation {
  operationId: string;
  summary?: string;
  description?: string;
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema: Schema }[];
  requestBody?: Media & { required?: boolean };
  responses: Record<string, Media & { description?: string }>;
  "x-egret-scope"?: string;
}

/** The document, as far as it is read here. */
export interface ApiDocument {
  paths: Record<string, Record<string, Operation>>;
  components?: { schemas?: Record<string, Schema> };
}

interface Found {
  method: string;
  path: string;
  operation: Operation;
}

/** Operations in the order of their names. @throws Error when two have one name, or one has none. */
function operationsOf({ paths }: ApiDocument): Found[] {
  const found = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
  const places = Map.groupBy(found, ({ operation }) => operation.operationId);
  for (const [id, same] of places) {
    const where = same.map(({ method, path }) => `${method} ${path}`).join(", ");
    if (!/^[a-z][A-Za-z0-9]+$/.test(id) || same.length > 1)
      throw new Error(
        `the operationId ${JSON.stringify(id)} is that of ${where}: name one in src/http/api/operationId.ts`,
      );
  }
  return found.sort((a, b) => (a.operation.operationId < b.operation.operationId ? -1 : 1));
}

/** The text of src/client/operations.ts: where each operation is. */
export function operationsText(document: ApiDocument): string {
  const lines = operationsOf(document).map(
    ({ method, path, operation }) => `  ${operation.operationId}: ["${method}", "${path}"],`,
  );
  return `/** Generated from the OpenAPI document by \`npm run client\`: method and path of each operation. */
import type { Operations } from "./schema.ts";

/** Methods and paths by the operations' names. */
export const OPERATIONS: Readonly<Record<keyof Operations, readonly [method: string, path: string]>> = {
${lines.join("\n")}
};
`;
}

/** The text of src/client/schema.ts: what each operation takes and answers. */
export function schemaText(document: ApiDocument): string {
  const schemas = Object.entries(document.components?.schemas ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const operations = operationsOf(document);
  return `/** Generated from the OpenAPI document by \`npm run client\`: the objects of the API, and what each operation takes and answers. */
/* oxlint-disable max-lines -- generated */

/** Objects of the API by their names in the document. */
export interface Schemas {
${schemas.map(([name, schema]) => `${comment([schema.description])}${key(name)}: ${typeOf(schema)};`).join("\n")}
}

/** What each operation takes (\`input\`) and answers (\`answer\`). */
export interface Operations {
${operations.map(operationText).join("\n")}
}
`;
}

function operationText({ method, path, operation }: Found): string {
  const { operationId, summary, description, "x-egret-scope": scope } = operation;
  const right = scope === undefined ? "" : `, scope ${scope}`;
  return `${comment([summary, description, `\`${method} ${path}\`${right}`])}${operationId}: {
  input: ${inputOf(operation)};
  answer: ${answerOf(operation)};
};`;
}

function inputOf({ parameters = [], requestBody }: Operation): string {
  const parts = ["path", "query"].flatMap((place) => {
    const own = parameters.filter((parameter) => parameter.in === place);
    if (own.length === 0) return [];
    const fields = own.map(({ name, required = false, description, schema }) =>
      field(name, { schema, isRequired: required, description: description ?? schema.description }),
    );
    const isNeeded = own.some(({ required }) => required);
    return [`${place}${isNeeded ? "" : "?"}: {\n${fields.join("\n")}\n}${isNeeded ? "" : " | undefined"};`];
  });
  const body = requestBody?.content?.["application/json"]?.schema;
  if (body !== undefined)
    parts.push(field("body", { schema: body, isRequired: requestBody?.required === true }));
  return parts.length === 0 ? "object" : `{\n${parts.join("\n")}\n}`;
}

/** Of all statuses of success; what has no JSON is unknown. */
function answerOf({ responses }: Operation): string {
  const types = Object.entries(responses)
    .filter(([status]) => status.startsWith("2"))
    .map(([, { content }]) => content?.["application/json"]?.schema)
    .map((schema) => (schema === undefined ? "unknown" : typeOf(schema)));
  return unionOf(types);
}

function field(
  name: string,
  {
    schema,
    isRequired,
    description,
  }: { schema: Schema; isRequired: boolean; description?: string | undefined },
): string {
  const type = isRequired ? typeOf(schema) : unionOf([typeOf(schema), "undefined"]);
  return `${comment([description ?? (name === "body" ? undefined : schema.description)])}${key(name)}${isRequired ? "" : "?"}: ${type};`;
}

/** A schema as a type. What is not known is `unknown`, never `any`. */
export function typeOf(schema: Schema): string {
  const { $ref, enum: values, const: constant, oneOf, anyOf, allOf, type } = schema;
  if ($ref !== undefined) return `Schemas["${$ref.slice($ref.lastIndexOf("/") + 1)}"]`;
  if (constant !== undefined) return JSON.stringify(constant);
  if (values !== undefined) return unionOf(values.map((value) => JSON.stringify(value)));
  const choices = oneOf ?? anyOf;
  if (choices !== undefined) return unionOf(choices.map(typeOf));
  if (allOf !== undefined) {
    // What stands beside allOf holds too.
    const own = schema.properties === undefined ? [] : [objectType(schema)];
    const isNullable = Array.isArray(type) && type.includes("null");
    const whole = [...allOf.map(typeOf), ...own].join(" & ");
    return isNullable ? `(${whole}) | null` : whole;
  }
  if (Array.isArray(type)) return unionOf(type.map((each) => typeOf({ ...schema, type: each })));
  return SIMPLE[type ?? ""] ?? (type === "array" ? arrayType(schema) : objectOrUnknown(schema));
}

const SIMPLE: Readonly<Record<string, string>> = {
  string: "string",
  integer: "number",
  number: "number",
  boolean: "boolean",
  null: "null",
};

function objectOrUnknown(schema: Schema): string {
  return schema.type === "object" || schema.properties !== undefined ? objectType(schema) : "unknown";
}

function arrayType({ items, prefixItems }: Schema): string {
  if (prefixItems !== undefined) return `[${prefixItems.map(typeOf).join(", ")}]`;
  return items === undefined ? "unknown[]" : `(${typeOf(items)})[]`;
}

function objectType({ properties = {}, required = [], additionalProperties }: Schema): string {
  const fields = Object.entries(properties).map(([name, schema]) =>
    field(name, { schema, isRequired: required.includes(name) }),
  );
  if (fields.length > 0) return `{\n${fields.join("\n")}\n}`;
  const value = typeof additionalProperties === "object" ? typeOf(additionalProperties) : "unknown";
  return `{ [name: string]: ${value} }`;
}

function unionOf(types: readonly string[]): string {
  const different = [...new Set(types)];
  if (different.includes("unknown")) return "unknown";
  return different.length === 0 ? "unknown" : different.join(" | ");
}

const key = (name: string): string => (/^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name));

function comment(paragraphs: readonly (string | undefined)[]): string {
  const lines = paragraphs
    .filter((text) => text !== undefined && text !== "")
    .flatMap((text) => (text ?? "").replaceAll("*/", "*\\/").split("\n"));
  if (lines.length === 0) return "";
  return lines.length === 1
    ? `/** ${lines[0]} */\n`
    : `/**\n${lines.map((line) => ` * ${line}`).join("\n")}\n */\n`;
}
