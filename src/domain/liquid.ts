/** Templates over a record: checked once when they are written down, then rendered row by row within limits. */
import { Context, type Liquid, LiquidError, type Template as Part, toValueSync } from "liquidjs";
import { InvalidInput } from "./errors.ts";
import {
  BoundedOutput,
  bareCopy,
  jsonEngine,
  MAX_OUTPUT_BYTES,
  MAX_RENDER_MS,
  MAX_TEMPLATE_BYTES,
  RenderRefused,
  textEngine,
  urlEngine,
} from "./liquidEngine.ts";
import { namesOf } from "./liquidNames.ts";

/** What a template may refer to. */
export interface TemplateOptions {
  /** Names that a record has, case-sensitive; null while they are not known, then the caller looks at the template's. */
  columns: readonly string[] | null;
  /** `record` is one record; `records` is the list of a batch, and only payload templates have it (behaviour.md 9.3). */
  variable: "record" | "records";
  /** Whether `record` may stand without a column, as in `{{ record | except: 'ssn' | json }}`; `records` always may. */
  wholeRecord?: boolean;
  /** Escapes each text as JSON does, unless its last filter is `json` or `raw`: for payloads of JSON. */
  json?: boolean;
  /** Encodes whatever is written so that it stays one part of a path or query of a URL; no filter turns that off. */
  url?: boolean;
}

/** What came of a render; `message` names the fault and the place, never a value. */
export type Rendered = { ok: true; text: string } | { ok: false; message: string };

/** A template that was found to be sound. */
export interface Template {
  /** Columns that it refers to, sorted; with `usesWhole` there may be others. */
  readonly columns: readonly string[];
  /** Whether it refers to the record as a whole. */
  readonly usesWhole: boolean;
  /** Renders over a scope of `templateScope`. Never throws. */
  render(scope: TemplateScope): Rendered;
}

/** A record, or the records of a batch, made ready for any number of renders. */
export interface TemplateScope {
  readonly value: unknown;
}

/** Copies a record, or a list of records, out of the reach of what JavaScript objects inherit. */
export function templateScope(value: object): TemplateScope {
  return { value: bareCopy(value) };
}

/**
 * Parses a template and checks every name in it.
 * @throws InvalidInput naming the fault and the place in the template.
 */
export function parseTemplate(text: string, options: TemplateOptions): Template {
  if (Buffer.byteLength(text) > MAX_TEMPLATE_BYTES)
    throw refused(`it is longer than ${MAX_TEMPLATE_BYTES} bytes`);
  const engine = options.json === true ? jsonEngine : options.url === true ? urlEngine : textEngine;
  const parts = parse(engine, text);
  const { columns, usesWhole, faults } = namesOf(parts, options.variable);
  const known = options.columns === null ? columns : new Set(options.columns);
  for (const column of columns) if (!known.has(column)) faults.push(`there is no column ${column}`);
  if (usesWhole && options.variable === "record" && options.wholeRecord !== true)
    faults.push("record needs the name of a column, as in record['COLUMN']");
  if (faults.length > 0) throw refused([...new Set(faults)].join("; "));
  return {
    columns: [...columns].sort(),
    usesWhole,
    render: (scope) => render(engine, parts, { [options.variable]: scope.value }),
  };
}

function refused(fault: string, cause?: unknown): InvalidInput {
  return new InvalidInput(`The template cannot be used: ${fault}`, [], cause === undefined ? {} : { cause });
}

function parse(engine: Liquid, text: string): Part[] {
  try {
    return engine.parse(text);
  } catch (error) {
    // The library's words on syntax quote the template, which its author knows.
    if (LiquidError.is(error)) throw refused(error.message, error);
    throw refused("its tags are nested too deep", error);
  }
}

function render(engine: Liquid, parts: Part[], scope: object): Rendered {
  try {
    const context = new Context(scope, engine.options, { sync: true }, { liquid: engine });
    const output = new BoundedOutput();
    toValueSync(engine.renderer.renderTemplates(parts, context, output));
    const text = output.buffer;
    if (Buffer.byteLength(text) <= MAX_OUTPUT_BYTES) return { ok: true, text };
    return { ok: false, message: `The template failed: it writes more than ${MAX_OUTPUT_BYTES} bytes` };
  } catch (error) {
    return { ok: false, message: `The template failed: ${faultOf(error)}${placeOf(error)}` };
  }
}

/** Our own words for what the library throws: its messages quote values, such as the key that an object lacks. */
function faultOf(thrown: unknown): string {
  const cause = LiquidError.is(thrown)
    ? ((thrown as { originalError?: unknown }).originalError ?? thrown)
    : thrown;
  if (cause instanceof RenderRefused) return cause.message;
  const { name, message } = cause instanceof Error ? cause : { name: "", message: "" };
  if (name.endsWith("UndefinedVariableError")) return "it uses something that this record does not have";
  if (message.startsWith("template render limit")) return `it takes longer than ${MAX_RENDER_MS} ms`;
  if (message.startsWith("memory alloc limit") || name === "RangeError") return "it makes too much";
  return "a filter cannot take its value";
}

function placeOf(thrown: unknown): string {
  if (!LiquidError.is(thrown)) return "";
  const [row, column] = thrown.token.getPosition();
  return ` (line ${row}, column ${column})`;
}
