/** A JSON Schema as short text that people read, in the manner of TypeScript's types. */

/** The parts of a schema that the document's routes use. */
export interface Schema {
  $ref?: string;
  type?: string | readonly string[];
  enum?: readonly unknown[];
  const?: unknown;
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  anyOf?: readonly Schema[];
  oneOf?: readonly Schema[];
  allOf?: readonly Schema[];
  description?: string;
  default?: unknown;
  format?: string;
}

/** Nested deeper than this it says only that there is more. */
const MAX_DEPTH = 8;

/** As wide as the page shows without scrolling aside. */
const LINE_CHARS = 96;

/** Name of the schema that a reference is to. */
export function refName(ref: string): string {
  return ref.slice(ref.lastIndexOf("/") + 1);
}

/** The text; objects over several lines, other schemas by their names. */
export function schemaText(schema: Schema, depth = 0): string {
  if (schema.$ref !== undefined) return refName(schema.$ref);
  if (depth > MAX_DEPTH) return "…";
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) {
    return unionText(
      schema.enum.map((value) => JSON.stringify(value)),
      depth,
    );
  }
  const others = schema.anyOf ?? schema.oneOf;
  if (others !== undefined) return unionText(unique(others.map((other) => schemaText(other, depth))), depth);
  if (schema.allOf !== undefined) {
    const rest = schema.properties === undefined ? [] : [objectText(schema, depth)];
    return unique([...schema.allOf.map((part) => schemaText(part, depth)), ...rest]).join(" & ");
  }
  const types = typeof schema.type === "string" ? [schema.type] : (schema.type ?? []);
  return unique(types.map((type) => typeText(type, schema, depth))).join(" | ") || "any";
}

function typeText(type: string, schema: Schema, depth: number): string {
  switch (type) {
    case "object":
      return objectText(schema, depth);
    case "array": {
      const items = schemaText(schema.items ?? {}, depth);
      return / [|&] /.test(items) && !items.startsWith("{") ? `(${items})[]` : `${items}[]`;
    }
    case "string":
      return schema.format === undefined ? "string" : `string (${schema.format})`;
    default:
      return type;
  }
}

function objectText({ properties = {}, required = [], additionalProperties }: Schema, depth: number): string {
  const pad = "  ".repeat(depth + 1);
  const lines = Object.entries(properties).map(([name, property]) => {
    const mark = required.includes(name) ? "" : "?";
    const fallback = property.default === undefined ? "" : ` = ${JSON.stringify(property.default)}`;
    const line = `${pad}${name}${mark}: ${schemaText(property, depth + 1)}${fallback}`;
    if (property.description === undefined) return line;
    const told = `// ${property.description}`;
    // Behind its field where both are short.
    return line.length + told.length < LINE_CHARS
      ? `${line}  ${told}`
      : `${commentLines(told, pad)}\n${line}`;
  });
  if (typeof additionalProperties === "object") {
    lines.push(`${pad}[name]: ${schemaText(additionalProperties, depth + 1)}`);
  }
  return lines.length === 0 ? "object" : `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
}

/** Alternatives on one line, or each on its own where they would be too many for that. */
function unionText(texts: readonly string[], depth: number): string {
  const line = texts.join(" | ");
  const isShort = line.length < LINE_CHARS - 40 || line.includes("\n");
  return isShort ? line : texts.map((text) => `\n${"  ".repeat(depth + 1)}| ${text}`).join("");
}

/** A comment in lines that are not too long. */
function commentLines(told: string, pad: string): string {
  const lines = [pad];
  for (const word of told.split(" ")) {
    const line = lines.at(-1) ?? "";
    const isFull = line.length + word.length > LINE_CHARS;
    if (isFull) lines.push(`${pad}// ${word}`);
    else lines[lines.length - 1] = line === pad ? pad + word : `${line} ${word}`;
  }
  return lines.join("\n");
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}
