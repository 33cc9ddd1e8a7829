/** Faults in a configuration file, each with its place, so that an editor or a person can jump to it. */
import { type FieldProblem, InvalidInput } from "../domain/errors.ts";

/** A fault at a place in the file; `message` begins with `file:line:column:` and ends with the fix. */
export interface FileProblem extends FieldProblem {
  file: string;
  /** From 1. */
  line: number;
  /** From 1. */
  column: number;
}

/** Keys and list places that lead to a value, from the top of the file. */
export type FieldPath = readonly (string | number)[];

/** A path as people write it: `syncs.airports.mappings[2].column`. */
export function fieldName(path: FieldPath): string {
  return path
    .map((step, i) => (typeof step === "number" ? `[${step}]` : `${i === 0 ? "" : "."}${step}`))
    .join("");
}

/** All faults of a file in the order of their lines, as one error. */
export function invalidFile(file: string, problems: readonly FileProblem[]): InvalidInput {
  const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  const count = sorted.length === 1 ? "1 problem" : `${sorted.length} problems`;
  return new InvalidInput(`${file} has ${count}; nothing was applied`, sorted);
}
