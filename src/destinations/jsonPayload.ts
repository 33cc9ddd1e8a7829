/** Turns what a payload template wrote into JSON: JSON as it stands, or YAML, of which JSON is a part (behaviour.md 9.3). */
import { parseDocument } from "yaml";
import type { Rendered } from "../domain/liquid.ts";

/** Far above any real payload; it stops aliases that multiply each other. */
const MAX_ALIASES = 100;

/** The text as JSON; `message` holds nothing of the text. */
export function toJsonPayload(text: string): Rendered {
  const trimmed = text.trim();
  if (trimmed === "") return { ok: false, message: "The payload failed: the template writes nothing" };
  // Numbers keep their digits and members their order: what is JSON already is not written anew.
  if (isJson(trimmed)) return { ok: true, text: trimmed };
  const document = parseDocument(text, {
    version: "1.2",
    schema: "core",
    intAsBigInt: true,
    merge: false,
    prettyErrors: false,
    logLevel: "silent",
  });
  const [fault] = document.errors;
  if (fault !== undefined) {
    const line = text.slice(0, fault.pos[0]).split("\n").length;
    return {
      ok: false,
      message: `The payload failed: it is neither JSON nor YAML (line ${line} of what was written)`,
    };
  }
  try {
    return { ok: true, text: JSON.stringify(document.toJS({ maxAliasCount: MAX_ALIASES }), exactly) };
  } catch {
    return { ok: false, message: "The payload failed: it holds what JSON cannot hold, or too much of it" };
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Whole numbers beyond 2^53 digit by digit; a number that JSON has no form for is no silent null. */
function exactly(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return rawJson(value.toString());
  if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError("not a JSON number");
  return value;
}

/** Not yet in the types of the language's library. */
const { rawJSON: rawJson } = JSON as unknown as { rawJSON(text: string): unknown };
