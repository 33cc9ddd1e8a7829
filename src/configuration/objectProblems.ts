/** Faults in one object that was handed to the API, by the fields of its entry. */
import { type FieldProblem, InvalidInput } from "../domain/errors.ts";

/** Shown in the message of an error; the rest stands in its problems. */
const MOST_TOLD = 5;

/** All faults as one error, whose message tells them too: some clients show nothing else. */
export function invalidObject(problems: readonly FieldProblem[], options?: ErrorOptions): InvalidInput {
  const told = problems
    .slice(0, MOST_TOLD)
    .map(({ field, message }) => (field === "" ? message : `${field}: ${message}`));
  const rest = problems.length - told.length;
  return new InvalidInput([...told, ...(rest > 0 ? [`And ${rest} more.`] : [])].join(" "), problems, options);
}

/** The same faults under the names that the API gives the fields. */
export function withFieldNames(error: InvalidInput, rename: (field: string) => string): InvalidInput {
  if (error.problems.length === 0) return error;
  const problems = error.problems.map(({ field, message }) => ({ field: rename(field), message }));
  return invalidObject(problems, { cause: error });
}

/** Texts that our Postgres cannot hold, wherever they stand in a value. */
export function textFaults(value: unknown, field: string): FieldProblem[] {
  if (typeof value === "string") {
    if (value.includes("\u0000")) return [{ field, message: "Must not hold a NUL character." }];
    return value.isWellFormed() ? [] : [{ field, message: "Is no valid Unicode text." }];
  }
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, part]: [string, unknown]) => {
    const place = Array.isArray(value) ? `${field}[${key}]` : field === "" ? key : `${field}.${key}`;
    return textFaults(key, field).concat(textFaults(part, place));
  });
}

const MAX_LABEL_LETTERS = 200;

/** What is wrong with the name that people give an object; an empty list when nothing is. */
export function labelFaults(label: string): FieldProblem[] {
  const field = "label";
  if (label.trim() === "") return [{ field, message: "Give it a name." }];
  if (label.length > MAX_LABEL_LETTERS)
    return [{ field, message: `A name has at most ${MAX_LABEL_LETTERS} characters.` }];
  // oxlint-disable-next-line no-control-regex -- those are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(label))
    return [{ field, message: "A name has no line breaks or control characters." }];
  return textFaults(label, field);
}
