/** Short names for objects that the API makes, from what people call them: egret.yaml and secrets go by those. */
import { NAME_FORM } from "./fileSchema.ts";

/** Room for a number behind it, within the 63 letters of a name. */
const MAX_LETTERS = 55;

/** The label as it is where it is a name already, else made of its letters; with `_2`, `_3`, … until nobody has it. */
export function nameFor(label: string, kind: string, taken: ReadonlySet<string>): string {
  const base = NAME_FORM.test(label) ? label : plainName(label, kind);
  if (!taken.has(base)) return base;
  for (let number = 2; ; number += 1) {
    const name = `${base.slice(0, MAX_LETTERS)}_${number}`;
    if (!taken.has(name)) return name;
  }
}

function plainName(label: string, kind: string): string {
  const letters = label
    .normalize("NFKD")
    .replaceAll(/\p{M}/gu, "")
    .toLowerCase()
    .replaceAll("ß", "ss")
    .replaceAll(/[^a-z0-9]+/g, "_")
    .slice(0, MAX_LETTERS)
    .replaceAll(/^_+|_+$/g, "");
  if (letters === "") return kind;
  return /^[a-z]/.test(letters) ? letters : `${kind}_${letters}`.slice(0, MAX_LETTERS);
}
