/** Liquid as templates of Egret know it: standard tags and filters, a few of our own, and a bound on what a render may use. */
import { createHash } from "node:crypto";
import { CaptureTag, type Context, type Emitter, ForTag, Liquid, TablerowTag, type TagToken } from "liquidjs";

/** Longest template, bytes. Source: ours; behaviour.md 9.3. */
export const MAX_TEMPLATE_BYTES = 65_536;

/** Longest output of one render, bytes. Source: ours; behaviour.md 9.3. */
export const MAX_OUTPUT_BYTES = 1_048_576;

/** Rounds of all loops of one render together. Source: ours; behaviour.md 9.3. */
export const MAX_LOOP_STEPS = 10_000;

/** Time of one render. Source: ours; behaviour.md 9.3. */
export const MAX_RENDER_MS = 1_000;

/** Characters and list items that filters and captures of one render may make: the library counts them, not bytes. */
const MAX_MADE = 8 * MAX_OUTPUT_BYTES;

/** A render that we stop ourselves; its words hold no value, so that they may be shown. */
export class RenderRefused extends Error {}

const TAGS = new Set(
  "assign capture case comment cycle decrement echo for break continue if increment liquid raw tablerow unless #".split(
    " ",
  ),
);

/** The filters of Liquid 5.4 that the library has as they should be, and `json` and `raw`, which are registered below. */
const FILTERS = new Set(
  `abs append at_least at_most base64_decode base64_encode capitalize ceil compact concat date default divided_by
   downcase escape escape_once first floor join last lstrip map minus modulo newline_to_br plus prepend remove
   remove_first remove_last replace replace_first replace_last reverse round rstrip size slice sort sort_natural split
   strip strip_html strip_newlines sum times truncate truncatewords uniq upcase url_decode url_encode where
   sha256 raw`.split(/\s+/),
);

const STEPS = "egret loop steps";

/** Stands first in the body of a loop, so that an empty body is counted, and timed, as well. */
class LoopStep {
  readonly token: TagToken;
  constructor(token: TagToken) {
    this.token = token;
  }
  render(context: Context): void {
    const steps = context.getRegister<number>(STEPS, 0) + 1;
    if (steps > MAX_LOOP_STEPS) throw new RenderRefused(`its loops take more than ${MAX_LOOP_STEPS} rounds`);
    context.setRegister(STEPS, steps);
  }
}

class CountedFor extends ForTag {
  constructor(...parts: ConstructorParameters<typeof ForTag>) {
    super(...parts);
    this.templates.unshift(new LoopStep(parts[0]));
  }
}

class CountedTablerow extends TablerowTag {
  constructor(...parts: ConstructorParameters<typeof TablerowTag>) {
    super(...parts);
    this.templates.unshift(new LoopStep(parts[0]));
  }
}

/** Text of a value that is written out. Objects have none: their text in JavaScript would be sent as if it were data. */
function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(textOf).join("");
  if (typeof value === "object") throw new RenderRefused("it writes an object as text; add the filter json");
  return String(value);
}

/** Gathers what a render writes, up to a limit. */
export class BoundedOutput implements Emitter {
  buffer = "";
  write(value: unknown): void {
    this.buffer += textOf(value);
    if (this.buffer.length > MAX_OUTPUT_BYTES)
      throw new RenderRefused(`it writes more than ${MAX_OUTPUT_BYTES} bytes`);
  }
}

/** The library's own gathers without a limit. */
class BoundedCapture extends CaptureTag {
  override *render(context: Context): Generator<unknown, void, string> {
    const text = yield this.liquid.renderer.renderTemplates(this.templates, context, new BoundedOutput());
    context.memoryLimit.use(text.length);
    context.bottom()[this.variable] = text;
  }
}

function objectOf(value: unknown, filter: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new RenderRefused(`the filter ${filter} needs an object`);
  return value as Record<string, unknown>;
}

/** Names as arguments, as a list, or as the keys of an object. */
function namesOf(given: readonly unknown[]): Set<string> {
  return new Set(
    given.flatMap((each) => {
      if (Array.isArray(each)) return each.map(String);
      return typeof each === "object" && each !== null ? Object.keys(each) : [String(each)];
    }),
  );
}

/** Keeps or drops keys of an object, or of each object of a list. */
function withKeys(filter: "only" | "except") {
  const pick = (value: unknown, names: ReadonlySet<string>): unknown => {
    if (Array.isArray(value)) return value.map((each) => pick(each, names));
    const entries = Object.entries(objectOf(value, filter));
    return bare(entries.filter(([name]) => names.has(name) === (filter === "only")));
  };
  return (value: unknown, ...given: unknown[]) => pick(value, namesOf(given));
}

/** An object without a prototype: turning it into text throws, where other objects say `[object Object]`. */
function bare(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  const made = Object.create(null) as Record<string, unknown>;
  for (const [name, value] of entries) made[name] = value;
  return made;
}

/** A copy of a JSON value in which objects have no prototype. */
export function bareCopy(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(bareCopy);
  return bare(Object.entries(value).map(([name, each]) => [name, bareCopy(each)] as const));
}

/** The library makes Infinity of it, which would be sent. */
function notByZero(value: unknown): void {
  if (Number(value) === 0) throw new RenderRefused("it divides by zero");
}

/** JavaScript reads a timestamp with a space as local time: which must not depend on where Egret runs. */
function inUtc(value: unknown): unknown {
  if (typeof value !== "string") return value;
  const parts = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2}(?:\.\d+)?)(?: UTC|Z)?$/.exec(value);
  return parts === null ? value : `${parts[1]}T${parts[2]}Z`;
}

function toJson(value: unknown): string {
  return JSON.stringify(value ?? null);
}

/** Allowed in a path, yet changed by some readers of a query. */
function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

/** What is done with what a template writes out, and stands not in its own text. */
const ESCAPES = {
  text: {},
  json: { outputEscape: (value: unknown) => toJson(textOf(value)).slice(1, -1) },
  url: { outputEscape: (value: unknown) => encodeURIComponent(textOf(value)).replace(/[!'()*]/g, percent) },
} as const;

/** A template language with nothing that reads files, evaluates text, or reaches other templates. */
function makeEngine(kind: keyof typeof ESCAPES): Liquid {
  const engine = new Liquid({
    strictVariables: true,
    strictFilters: true,
    lenientIf: true,
    ownPropertyOnly: true,
    timezoneOffset: 0,
    locale: "en-US",
    renderLimit: MAX_RENDER_MS,
    memoryLimit: MAX_MADE,
    templates: {},
    // In a payload of JSON a text is escaped where it stands, unless its last filter is json or raw (behaviour.md 9.3).
    ...ESCAPES[kind],
  });
  for (const name of Object.keys(engine.tags)) if (!TAGS.has(name)) delete engine.tags[name];
  const { date, divided_by, modulo, base64_encode } = engine.filters;
  for (const name of Object.keys(engine.filters)) if (!FILTERS.has(name)) engine.unregisterFilter(name);
  engine.registerTag("for", CountedFor);
  engine.registerTag("tablerow", CountedTablerow);
  engine.registerTag("capture", BoundedCapture);
  engine.registerFilter("json", { raw: kind !== "url", handler: toJson });
  if (kind === "url") engine.registerFilter("raw", (value: unknown) => value);
  engine.registerFilter("except", withKeys("except"));
  engine.registerFilter("only", withKeys("only"));
  engine.registerFilter("keys", (value: unknown) => Object.keys(objectOf(value, "keys")));
  if (base64_encode !== undefined) engine.registerFilter("base64", base64_encode);
  engine.registerFilter("sha256", (value: unknown) =>
    createHash("sha256").update(textOf(value)).digest("hex"),
  );
  engine.registerFilter("base64_url_safe_encode", (value: unknown) =>
    Buffer.from(textOf(value)).toString("base64url"),
  );
  engine.registerFilter("base64_url_safe_decode", (value: unknown) =>
    Buffer.from(textOf(value), "base64url").toString(),
  );
  if (typeof date === "function")
    engine.registerFilter("date", function (value: unknown, ...rest: unknown[]) {
      return date.call(this, inUtc(value), ...rest);
    });
  for (const [name, filter] of Object.entries({ divided_by, modulo })) {
    if (typeof filter !== "function") continue;
    engine.registerFilter(name, function (value: unknown, divisor: unknown) {
      notByZero(divisor);
      return filter.call(this, value, divisor);
    });
  }
  return engine;
}

/** Templates of plain text. */
export const textEngine = makeEngine("text");

/** Templates of JSON, in which texts are escaped where they are written. */
export const jsonEngine = makeEngine("json");

/** Templates of paths and queries of URLs, in which nothing that is written can be more than a value. */
export const urlEngine = makeEngine("url");
