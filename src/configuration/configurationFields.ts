/** What a kind of connection asks for, field by field, told from the schema of its entry in egret.yaml. */
import { z } from "zod";

/** JSON types of a field's value. */
export type FieldType = "string" | "integer" | "number" | "boolean" | "object" | "array" | "null";

/** One field of a connection's settings and secrets. */
export interface ConfigurationField {
  /** As egret.yaml names it. */
  id: string;
  label: string;
  description: string;
  /** Every JSON type that it takes; the first is the one to show. */
  types: readonly FieldType[];
  isRequired: boolean;
  /** Never shown again. */
  isSecret: boolean;
  /** What a choice offers; empty when it is none. */
  values: readonly string[];
  /** A map from names to texts. */
  isTextMap: boolean;
  /** What holds when it is left out; undefined for nothing. */
  defaultValue: unknown;
}

/** The parts of a JSON Schema that tell what a field takes. */
interface Described {
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Described[];
  description?: string;
  default?: unknown;
  additionalProperties?: boolean | Described;
}

/** The fields of an entry, in the order of its schema; `type`, which says what kind it is, is none of them. */
export function configurationFields(
  entry: z.ZodObject,
  secrets: readonly string[],
): readonly ConfigurationField[] {
  const described = z.toJSONSchema(entry, { io: "input", unrepresentable: "any", reused: "inline" });
  const required = new Set(described.required);
  return Object.entries(described.properties ?? {})
    .filter(([id]) => id !== "type")
    .map(([id, schema]) => {
      const field = schema as Described;
      return {
        id,
        label: labelOf(id),
        description: field.description ?? "",
        types: typesOf(field),
        isRequired: required.has(id),
        isSecret: secrets.includes(id),
        values: valuesOf(field),
        isTextMap:
          typeof field.additionalProperties === "object" && field.additionalProperties.type === "string",
        defaultValue: field.default,
      };
    });
}

function typesOf(field: Described): FieldType[] {
  const own = [field.type ?? []].flat() as FieldType[];
  return [...new Set([...own, ...(field.anyOf ?? []).flatMap(typesOf)])];
}

function valuesOf(field: Described): string[] {
  const own = field.enum ?? (field.const === undefined ? [] : [field.const]);
  return [...own.map(String), ...(field.anyOf ?? []).flatMap(valuesOf)];
}

const WORDS: Readonly<Record<string, string>> = { url: "URL", tls: "TLS", oauth: "OAuth", id: "ID" };

/** `use_bulk_upload` as people read it: Use bulk upload. */
function labelOf(id: string): string {
  const text = id
    .split("_")
    .map((word) => WORDS[word] ?? word)
    .join(" ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
