/** Turns what the schema of egret.yaml refuses into sentences that name the place and the fix. */
import type { z } from "zod";
import type { FieldPath, FileProblem } from "./fileProblem.ts";
import { fileSchema } from "./fileSchema.ts";
import { suggestion } from "./nearest.ts";
import { keysAt, neededKeysAt } from "./schemaKeys.ts";
import type { YamlTree } from "./yamlTree.ts";

type Issue = z.core.$ZodIssue;

/** One problem per fault; a list of unknown keys is one problem each. */
export function schemaProblems(tree: YamlTree, issues: readonly Issue[]): FileProblem[] {
  return issues.flatMap((issue) => issueProblems(tree, issue, []));
}

function issueProblems(tree: YamlTree, issue: Issue, above: FieldPath): FileProblem[] {
  const path: FieldPath = [...above, ...(issue.path as FieldPath)];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) =>
        tree.problemAtKey(
          [...path, key],
          `Unknown key "${key}".${suggestion(key, keysAt(rootOf(tree), path))}`,
        ),
      );
    case "invalid_key":
      return [tree.problemAtKey(path, issue.issues[0]?.message ?? issue.message)];
    case "invalid_union":
      return unionProblems(tree, issue, path);
    case "invalid_value":
      return [tree.problemAt(path, unknownValue(tree, path, issue.values.map(String)))];
    case "invalid_type":
      return [tree.problemAt(path, wrongType(tree, path, issue.expected))];
    case "too_big":
    case "too_small":
      return [tree.problemAt(path, outOfBounds(issue))];
    case "invalid_format":
      return [
        tree.problemAt(
          path,
          issue.format === "url" ? "Write a whole address, as in https://example.com/path." : issue.message,
        ),
      ];
    default:
      return [tree.problemAt(path, issue.message)];
  }
}

/** Of the branches of a union, the one whose kind of value was meant speaks. */
function unionProblems(
  tree: YamlTree,
  issue: Extract<Issue, { code: "invalid_union" }>,
  path: FieldPath,
): FileProblem[] {
  const last = path.at(-1);
  if (issue.discriminator !== undefined) {
    const known = "options" in issue ? (issue.options ?? []).map(String) : [];
    return [tree.problemAt(path, unknownValue(tree, path, known))];
  }
  const isPayload = last === "payload" || last === "delete_payload";
  const isOtherKind = (found: Issue): boolean => found.code === "invalid_type" && found.path.length === 0;
  const meant = isPayload ? undefined : issue.errors.find((branch) => !branch.some(isOtherKind));
  if (meant !== undefined) return meant.flatMap((found) => issueProblems(tree, found, path));
  const what =
    last === "constant"
      ? "a text, a number, true, false or null"
      : isPayload
        ? "`columns`, `form` or `empty`, or a map with `json` or `field`"
        : path.at(-2) === "mappings"
          ? "a column name, or a map with `column` and `to`"
          : "a whole number";
  return [tree.problemAt(path, `Write ${what}.`)];
}

function unknownValue(tree: YamlTree, path: FieldPath, known: readonly string[]): string {
  const value = valueAt(tree.value, path);
  if (value === undefined) return `Is missing; write one of: ${known.join(", ")}.`;
  if (typeof value !== "string" || tree.isFromEnvironment(path)) return `Write one of: ${known.join(", ")}.`;
  const near = suggestion(value, known);
  return `"${value}" is not known.${near.startsWith(" Did") ? `${near} Known: ${known.join(", ")}.` : near}`;
}

const KINDS: Record<string, string> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  record: "a map of names",
  object: "a map",
};

function wrongType(tree: YamlTree, path: FieldPath, expected: string): string {
  const kind = KINDS[expected] ?? expected;
  const value = valueAt(tree.value, path);
  if (value === undefined) {
    const keys = neededKeysAt(rootOf(tree), path).map((key) => `\`${key}\``);
    return `Is missing; add it: ${kind}${keys.length === 0 ? "" : ` with ${keys.join(" and ")}`}.`;
  }
  const found =
    value === null ? "empty" : Array.isArray(value) ? "a list" : (KINDS[typeof value] ?? "something else");
  const quotes = expected === "string" && typeof value !== "object" ? " Put it in quotes." : "";
  return `Expected ${kind}, found ${found}.${quotes}`;
}

/** A message of the schema's own names the fix; zod's own words are for programmers. */
function outOfBounds(issue: Extract<Issue, { code: "too_big" | "too_small" }>): string {
  if (!issue.message.startsWith("Too ")) return issue.message;
  const [words, bound] =
    issue.code === "too_big" ? ["at most", issue.maximum] : (["at least", issue.minimum] as const);
  const unit = { string: " characters", array: " entries" }[issue.origin as string] ?? "";
  return `Must ${unit === "" ? "be" : "have"} ${words} ${bound}${unit}.`;
}

function rootOf(tree: YamlTree) {
  return { schema: fileSchema, value: tree.value };
}

/** The value that a path leads to in plain values, or undefined. */
function valueAt(root: unknown, path: FieldPath): unknown {
  let value: unknown = root;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}
