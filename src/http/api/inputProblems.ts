/** Turns what a route's schema refuses into fields with their fixes, each said once. */
import type { z } from "zod";
import type { FieldProblem } from "../../domain/errors.ts";

type Issue = z.core.$ZodIssue;

/** The problems, in the order of the schema. */
export function inputProblems(issues: readonly Issue[]): FieldProblem[] {
  const told = new Map<string, FieldProblem>();
  for (const issue of issues) {
    const problem = { field: fieldOf(issue.path), message: wordsOf(issue) };
    told.set(`${problem.field} ${problem.message}`, problem);
  }
  return [...told.values()];
}

/** A path as people write it: `mappings[2].from.type`. */
function fieldOf(path: readonly PropertyKey[]): string {
  let field = "";
  for (const part of path) {
    if (typeof part === "number") field += `[${part}]`;
    else field += field === "" ? String(part) : `.${String(part)}`;
  }
  return field;
}

const KINDS: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a map",
  record: "a map",
};

/** A message of the schema's own names the fix; zod's own words are for programmers. */
function wordsOf(issue: Issue): string {
  if (!/^(?:Invalid|Too) /.test(issue.message)) return issue.message;
  switch (issue.code) {
    case "invalid_type": {
      const kind = KINDS[issue.expected] ?? issue.expected;
      return issue.message.endsWith("received undefined") ? `Is missing; give ${kind}.` : `Must be ${kind}.`;
    }
    case "invalid_value":
      return `Write one of: ${issue.values.join(", ")}.`;
    case "too_big":
      return `Must ${measure(issue.origin, "at most", issue.maximum)}.`;
    case "too_small":
      return `Must ${measure(issue.origin, "at least", issue.minimum)}.`;
    default:
      return "Has a form that is not possible here.";
  }
}

function measure(origin: string, words: string, bound: number | bigint): string {
  const unit = { string: " characters", array: " entries" }[origin] ?? "";
  return `${unit === "" ? "be" : "have"} ${words} ${bound}${unit}`;
}
