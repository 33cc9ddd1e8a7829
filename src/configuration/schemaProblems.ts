/** Turns what the schema of egret.yaml refuses into sentences that name the place and the fix. */
import type { z } from "zod";
import { DESTINATION_TYPES, destinationKeys } from "./destinationSchema.ts";
import type { FieldPath, FileProblem } from "./fileProblem.ts";
import { fileSchema, mappingEntrySchema, SECTIONS } from "./fileSchema.ts";
import { suggestion } from "./nearest.ts";
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
        tree.problemAtKey([...path, key], `Unknown key "${key}".${suggestion(key, knownKeys(tree, path))}`),
      );
    case "invalid_key":
      return [tree.problemAtKey(path, issue.issues[0]?.message ?? issue.message)];
    case "invalid_union":
      return unionProblems(tree, issue, path);
    case "invalid_value":
      return [tree.problemAt(path, unknownValue(tree, path, issue.values.map(String)))];
    case "invalid_type":
      return [tree.problemAt(path, wrongType(valueAt(tree.value, path), issue.expected))];
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
  const isOtherKind = (found: Issue): boolean => found.code === "invalid_type" && found.path.length === 0;
  const meant = issue.errors.find((branch) => !branch.some(isOtherKind));
  if (meant !== undefined) return meant.flatMap((found) => issueProblems(tree, found, path));
  const last = path.at(-1);
  if (path.length === 3 && path[0] === "destinations" && last === "type")
    return [tree.problemAt(path, unknownValue(tree, path, DESTINATION_TYPES))];
  const what =
    last === "constant"
      ? "a text, a number, true, false or null"
      : last === "payload" || last === "delete_payload"
        ? "`columns`, `form` or `empty`, or a map with `json` or `field`"
        : "a column name, or a map with `column` and `to`";
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

function wrongType(value: unknown, expected: string): string {
  const kind = KINDS[expected] ?? expected;
  if (value === undefined) return `Is missing; add it: ${kind}.`;
  const found =
    value === null ? "empty" : Array.isArray(value) ? "a list" : (KINDS[typeof value] ?? "something else");
  const quotes = expected === "string" && typeof value !== "object" ? " Put it in quotes." : "";
  return `Expected ${kind}, found ${found}.${quotes}`;
}

function knownKeys(tree: YamlTree, path: FieldPath): string[] {
  const [section, name, list] = path;
  if (section === undefined) return Object.keys(fileSchema.shape);
  if (list === "mappings") return Object.keys(mappingEntrySchema.shape);
  if (section === "destinations") return destinationKeys(valueAt(tree.value, [section, name ?? "", "type"]));
  if (!Object.hasOwn(SECTIONS, section)) return [];
  return Object.keys(SECTIONS[section as Exclude<keyof typeof SECTIONS, "destinations">].shape);
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
