/**
 * Reads the credentials that a client sent for a connection: names and types as clients have them, which is not always
 * as the schema has them. Terraform makes a number of each text of digits, and sends "" for what is left out.
 */
import { type FieldProblem, InvalidInput } from "../domain/errors.ts";
import type { ConfigurationField } from "./configurationFields.ts";

/** What was sent, by the names of egret.yaml. */
export interface ReadCredentials {
  given: Record<string, unknown>;
  /** Fields that are to be as if they had never been given: sent as "" or null. */
  cleared: ReadonlySet<string>;
  /** The name by which the client knows a field. */
  nameOf(field: string): string;
}

/** How names and types of a kind of connection are read. */
export interface CredentialRules {
  fields: readonly ConfigurationField[];
  aliases: Readonly<Record<string, string>>;
}

/**
 * Credentials by our names, each value of the type that its field takes as far as that is clear; keys that are not
 * known are passed over.
 * @throws InvalidInput for a number that has lost digits on its way.
 */
export function readCredentials(
  { fields, aliases }: CredentialRules,
  sent: Readonly<Record<string, unknown>>,
): ReadCredentials {
  const given: Record<string, unknown> = {};
  const cleared = new Set<string>();
  const names = new Map<string, string>();
  const problems: FieldProblem[] = [];
  for (const field of fields) {
    const others = Object.keys(aliases).filter((alias) => aliases[alias] === field.id);
    const candidates = [field.id, ...others].filter((name) => Object.hasOwn(sent, name));
    const name = candidates.find((each) => !isNothing(sent[each])) ?? candidates[0];
    if (name === undefined) continue;
    names.set(field.id, name);
    const fault = faultOf(field, sent[name]);
    if (fault !== null) problems.push({ field: name, message: fault });
    const value = typed(field, sent[name]);
    if (isCleared(field, value)) cleared.add(field.id);
    else given[field.id] = value;
  }
  if (problems.length > 0) throw new InvalidInput("The credentials are not valid.", problems);
  return { given, cleared, nameOf: (field) => names.get(field) ?? field };
}

const isNothing = (value: unknown): boolean => value === null || value === undefined || value === "";

/** Nothing, where nothing is no value of the field; a required one keeps it, so that its check speaks. */
function isCleared({ types, isRequired }: ConfigurationField, value: unknown): boolean {
  if (isRequired || !isNothing(value)) return false;
  return value !== null || !types.includes("null");
}

function typed(field: ConfigurationField, value: unknown): unknown {
  const { types } = field;
  if (typeof value === "string") return types.includes("string") ? value : fromText(field, value);
  if (isPlain(value)) return asText(types, value);
  return isMap(value) && field.isTextMap ? withTexts(value) : value;
}

const isPlain = (value: unknown): value is number | boolean =>
  typeof value === "number" || typeof value === "boolean";

function isMap(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A number or truth value as a text, where only a text is taken. */
function asText(types: readonly string[], value: number | boolean): unknown {
  const isTaken =
    typeof value === "boolean"
      ? types.includes("boolean")
      : types.includes("integer") || types.includes("number");
  return isTaken || !types.includes("string") ? value : String(value);
}

function fromText({ types, isTextMap }: ConfigurationField, text: string): unknown {
  const trimmed = text.trim();
  if (types.includes("boolean") && /^(true|false)$/i.test(trimmed)) return trimmed.toLowerCase() === "true";
  const isNumber = types.includes("integer") || types.includes("number");
  if (isNumber && /^-?\d{1,15}(\.\d{1,9})?$/.test(trimmed)) return Number(trimmed);
  if (types.includes("null") && /^(null|none)$/i.test(trimmed)) return null;
  if (!types.includes("object") || !trimmed.startsWith("{")) return text;
  try {
    const map = JSON.parse(trimmed) as object;
    return isTextMap ? withTexts(map) : map;
  } catch {
    return text;
  }
}

/** Headers and parameters are texts, whatever a client made of those that look like numbers. */
function withTexts(map: object): Record<string, unknown> {
  const entries = Object.entries(map).filter(([, value]) => value !== null);
  return Object.fromEntries(entries.map(([name, value]) => [name, isPlain(value) ? String(value) : value]));
}

function faultOf(field: ConfigurationField, sent: unknown): string | null {
  const isLong = (value: unknown) => typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER;
  // JSON has rounded it before we saw it.
  if ((field.types.includes("string") || field.isTextMap) && isSomewhere(sent, isLong))
    return "Is a number so long that digits are lost; send it as a text.";
  return null;
}

function isSomewhere(value: unknown, is: (part: unknown) => boolean): boolean {
  if (is(value)) return true;
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).some((part) => isSomewhere(part, is));
}
