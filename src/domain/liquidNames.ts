/** What a parsed template refers to, found without rendering it: columns of the record, and names that nothing defines. */
import { analyzeSync, type Template } from "liquidjs";

/** Names in a template. */
export interface TemplateNames {
  /** First names after the variable, as in `record['email']`; for `records` those after an index or in a loop over it. */
  columns: Set<string>;
  /** Whether the variable stands somewhere without a column, or with one that a render decides. */
  usesWhole: boolean;
  /** Faults in the words of the template's author. */
  faults: string[];
}

/** The library's tokens, as far as they are looked at here; a token of a property path has `props`. */
interface Part {
  props?: unknown[];
  variable?: unknown;
  content?: unknown;
  collection?: unknown;
  postfix?: unknown[];
  operator?: unknown;
}

/** What leads out of the template into the library itself. */
const NOT_PARTS = new Set(["liquid", "tokenizer", "token"]);

/** Every object that a template consists of. The library's own analysis skips a few places, such as the ends of `(a..b).size`. */
function* partsOf(value: unknown, seen = new Set<unknown>()): Generator<Part> {
  if (typeof value !== "object" || value === null || seen.has(value)) return;
  seen.add(value);
  if (Array.isArray(value)) {
    for (const each of value) yield* partsOf(each, seen);
    return;
  }
  yield value;
  for (const [name, part] of Object.entries(value)) if (!NOT_PARTS.has(name)) yield* partsOf(part, seen);
}

const contentOf = (part: unknown): unknown => (part as Part | undefined)?.content;

/** `a b` and `a ==`: the library reads them, and leaves out what it cannot place. */
function isWhole(postfix: readonly unknown[]): boolean {
  let operands = 0;
  for (const part of postfix) {
    const operator = (part as Part).operator;
    if (operator === undefined) operands += 1;
    else if (operator === "not" ? operands < 1 : operands < 2) return false;
    else if (operator !== "not") operands -= 1;
  }
  return operands <= 1;
}

/** Names of loops over the whole variable, whose rounds see one record each. */
function aliasesOf(parts: readonly Part[], variable: string): Set<string> {
  const over = (part: Part): boolean => {
    const props = (part.collection as Part | undefined)?.props;
    return props?.length === 1 && contentOf(props[0]) === variable;
  };
  const loops = parts.filter((part) => part.collection !== undefined && typeof part.variable === "string");
  const others = new Set(loops.filter((part) => !over(part)).map((part) => part.variable));
  return new Set(
    loops
      .filter(over)
      .map((part) => part.variable as string)
      .filter((name) => !others.has(name)),
  );
}

/** Looks through a template that may refer to `record`, or to `records`. */
export function namesOf(templates: Template[], variable: "record" | "records"): TemplateNames {
  const parts = [...partsOf(templates)];
  const { variables, globals, locals } = analyzeSync(templates, { partials: false });
  const aliases = variable === "records" ? aliasesOf(parts, variable) : new Set<string>();
  const names: TemplateNames = { columns: new Set(), usesWhole: false, faults: [] };
  const unknown = new Set<string>();
  for (const name of [...Object.keys(locals), ...loopNames(parts)]) {
    if (name === variable) names.faults.push(`it gives the name ${name} to something else; choose another`);
  }
  for (const { props, variable: base, postfix } of parts) {
    if (postfix !== undefined && !isWhole(postfix)) names.faults.push("an expression is not whole");
    if (props === undefined || base !== undefined) continue;
    const root = contentOf(props[0]);
    if (typeof root !== "string") names.faults.push("a path begins with a value instead of a name");
    else if (root === variable || aliases.has(root)) useOf(props.slice(1), root === "records", names);
    else if (Object.hasOwn(globals, root) || !Object.hasOwn(variables, root)) unknown.add(root);
  }
  names.faults.push(...[...unknown].map((name) => `nothing is called ${name}; write ${example(variable)}`));
  return names;
}

function example(variable: "record" | "records"): string {
  return variable === "record" ? "record['COLUMN']" : "records[0]['COLUMN']";
}

function loopNames(parts: readonly Part[]): string[] {
  return parts.flatMap(({ collection, variable }) =>
    collection !== undefined && typeof variable === "string" ? [variable] : [],
  );
}

function useOf(rest: readonly unknown[], isList: boolean, names: TemplateNames): void {
  const [first, ...more] = rest;
  const content = contentOf(first);
  if (isList && (typeof content === "number" || content === "first" || content === "last")) {
    useOf(more, false, names);
  } else if (!isList && typeof content === "string") names.columns.add(content);
  else if (!(isList && content === "size")) names.usesWhole = true;
}
