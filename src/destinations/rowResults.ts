/** Reads what an answer says of each row: a row that is not called successful is not (behaviour.md 11.2). */
import { KEY_FIELD } from "../domain/configuration.ts";
import type { RowResults } from "../domain/httpRequestDestination.ts";

/** An answer longer than this is not read: then no row counts as successful. Source: ours. */
export const MAX_RESULTS_BYTES = 1_048_576;

/** So many characters of what is said of one row are kept. Source: ours; behaviour.md 12.5. */
const MESSAGE_CHARACTERS = 500;

/** What is said of one row; null: it was taken. */
type Verdict = string | null;

/** The rows that an answer speaks of. */
export interface AnsweredRows {
  settings: RowResults;
  keys: readonly string[];
  /** The request's body, in which rows with such keys as timestamps go by another text than their key. */
  sent: Uint8Array;
}

/**
 * For each key, in their order, null when the answer calls its row successful, else why not. `body` is null when it
 * was cut off or too long.
 */
export function rowErrorsOf(body: Buffer | null, { settings, keys, sent }: AnsweredRows): Verdict[] {
  const all = (message: string): Verdict[] => keys.map(() => message);
  if (body === null) return all(`the answer broke off or is longer than ${MAX_RESULTS_BYTES} bytes`);
  if (body.length === 0) return all("the answer is empty, where it should speak of each row");
  let answer: unknown;
  try {
    answer = JSON.parse(body.toString("utf8"));
  } catch {
    return all("the answer is not JSON, where it should speak of each row");
  }
  const results = at(answer, settings.results_path);
  if (!Array.isArray(results)) {
    const where = settings.results_path === "" ? "" : ` at ${settings.results_path}`;
    return all(`the answer has no list of results${where}`);
  }
  return settings.identifier_field === null
    ? byPlace(results, keys, settings)
    : byIdentifier({ results, keys, names: namesIn(sent, keys), settings }, settings.identifier_field);
}

function byPlace(results: readonly unknown[], keys: readonly string[], settings: RowResults): Verdict[] {
  if (results.length === keys.length) return results.map((result) => verdictOf(result, settings));
  const message = `the answer has ${results.length} results for ${keys.length} rows`;
  return keys.map(() => message);
}

interface NamedRows {
  results: readonly unknown[];
  keys: readonly string[];
  /** The key of a row by the text that it was sent under. */
  names: ReadonlyMap<string, string>;
  settings: RowResults;
}

function byIdentifier({ results, keys, names, settings }: NamedRows, field: string): Verdict[] {
  const verdicts = new Map<string, Verdict>();
  for (const result of results) {
    const name = keyOf(own(result, field));
    if (name === null) continue;
    const key = names.get(name) ?? name;
    // Who is spoken of twice, and once badly, was not taken.
    verdicts.set(key, verdicts.get(key) ?? verdictOf(result, settings));
  }
  return keys.map((key) =>
    verdicts.has(key) ? (verdicts.get(key) ?? null) : "the answer does not name this row",
  );
}

/** What rows are called in a body that holds them as records, one for each key; else nothing. */
function namesIn(body: Uint8Array, keys: readonly string[]): ReadonlyMap<string, string> {
  let sent: unknown;
  try {
    sent = JSON.parse(Buffer.from(body).toString("utf8"));
  } catch {
    return new Map();
  }
  const records: unknown[] = [own(sent, "data") ?? sent].flat();
  if (records.length !== keys.length) return new Map();
  return new Map(
    keys.flatMap((key, place) => {
      const name = keyOf(own(records[place], KEY_FIELD));
      return name === null ? [] : [[name, key]];
    }),
  );
}

function verdictOf(result: unknown, { success_field, error_field }: RowResults): Verdict {
  const success = own(result, success_field);
  // Either a boolean, or a status of its own for each row as in an answer of 207.
  const isTaken = success === true || (typeof success === "number" && success >= 200 && success < 300);
  if (isTaken) return null;
  const error = own(result, error_field);
  const words = typeof error === "string" ? error : error === undefined ? "" : JSON.stringify(error);
  if (words === "") return "the answer does not call this row successful";
  return words.slice(0, MESSAGE_CHARACTERS).toWellFormed().replaceAll("\u0000", "\ufffd");
}

/** The text form that a key has with us. A number that JSON cannot hold exactly names no row. */
function keyOf(identifier: unknown): string | null {
  if (typeof identifier === "string") return identifier;
  return typeof identifier === "number" && (Number.isSafeInteger(identifier) || !Number.isInteger(identifier))
    ? String(identifier)
    : null;
}

/** The value at names joined by dots. */
function at(value: unknown, path: string): unknown {
  let found = value;
  for (const name of path === "" ? [] : path.split(".")) found = own(found, name);
  return found;
}

function own(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}
