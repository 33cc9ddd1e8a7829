/** Makes the records that a source alone cannot make: templates and casts are filled in here, the rest stays the source's bytes. */

import { castValue, type FieldType } from "../domain/fieldTypes.ts";
import { type Template, templateScope } from "../domain/liquid.ts";
import { type BuiltRecord, MAX_RECORD_BYTES, TOO_LONG } from "./source.ts";

/** Stands between the parts of a raw row. JSON never holds it as it stands, not even as white space. */
export const SEPARATOR = "\u001f";

/** One value of the raw row's last part, in which it stands under its place in the list, as in `{"0":…,"1":…}`. */
export interface Input {
  column: string;
  /** `json`: the value comes as a text that is its JSON, so that no digit of what is nested is lost. */
  form: "value" | "json";
}

/** A field that is made here. */
export interface MadeField {
  name: string;
  /** A template, or the place of an input. */
  from: Template | number;
  /** Null: a template's text as it is. */
  type: FieldType | null;
  /** Whether null is sent; else the field is left out. */
  sendsNull: boolean;
}

/** How a raw row becomes a record: its parts are those that the source made, in order, then one of inputs. */
export interface Recipe {
  /** In the order of the record: a part of the source (fields without braces, or nothing), or a field to make. */
  pieces: readonly ("part" | MadeField)[];
  inputs: readonly Input[];
}

/** One made field, with its name, or nothing when it is left out. */
type Made = { text: string } | { fault: string };

/** The function that builds records by a recipe. It never throws for what a row holds. */
export function recordBuilder({ pieces, inputs }: Recipe): (raw: Buffer) => BuiltRecord {
  const names = new Map(
    pieces.map((piece) => [piece, piece === "part" ? "" : `${JSON.stringify(piece.name)}:`]),
  );
  const templated = inputs.flatMap(({ column, form }, place) =>
    form === "value" ? [{ column, place }] : [],
  );
  const hasTemplates = pieces.some((piece) => piece !== "part" && typeof piece.from !== "number");
  return (raw) => {
    const parts = raw.toString("utf8").split(SEPARATOR);
    const values = JSON.parse(parts.at(-1) ?? "") as Record<number, unknown>;
    const scope = templateScope(hasTemplates ? recordOf(templated, values) : {});
    const fields: string[] = [];
    let next = 0;
    for (const piece of pieces) {
      if (piece === "part") {
        const part = parts[next] ?? "";
        next += 1;
        if (part !== "") fields.push(part);
        continue;
      }
      const made = make(piece, names.get(piece) ?? "", { values, scope, inputs });
      if ("fault" in made) return { invalid: made.fault };
      if (made.text !== "") fields.push(made.text);
    }
    const record = Buffer.from(`{${fields.join(",")}}`);
    return record.length <= MAX_RECORD_BYTES ? { record } : { invalid: TOO_LONG };
  };
}

/** Columns by name, as templates see them. */
function recordOf(
  templated: readonly { column: string; place: number }[],
  values: Readonly<Record<number, unknown>>,
): object {
  const record = Object.create(null) as Record<string, unknown>;
  for (const { column, place } of templated) record[column] = values[place];
  return record;
}

interface Row {
  values: Readonly<Record<number, unknown>>;
  scope: ReturnType<typeof templateScope>;
  inputs: readonly Input[];
}

function make(field: MadeField, name: string, { values, scope, inputs }: Row): Made {
  const { from, type, sendsNull } = field;
  const fault = (words: string): Made => ({ fault: `Field ${field.name}: ${words}`.slice(0, MAX_FAULT) });
  let value: unknown;
  let json: string;
  if (typeof from === "number") {
    const given = values[from];
    const isJson = inputs[from]?.form === "json" && typeof given === "string";
    value = isJson ? JSON.parse(given) : given;
    json = isJson ? given : "";
  } else {
    const rendered = from.render(scope);
    if (!rendered.ok) return fault(rendered.message);
    if (type === null) return { text: name + JSON.stringify(rendered.text) };
    [value, json] = [rendered.text, ""];
  }
  const cast = castValue(value, json, type ?? "string");
  if ("fault" in cast) return fault(cast.fault);
  return { text: cast.json === "null" && !sendsNull ? "" : name + cast.json };
}

/** Characters of what is said of an invalid row. */
const MAX_FAULT = 500;
