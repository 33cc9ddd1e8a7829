/** egret.yaml, read: its text parsed, filled in from the environment and checked as far as the file alone allows. */
import { readFile, stat } from "node:fs/promises";
import type { EndpointTls, Mapping, Operation } from "../domain/configuration.ts";
import { InvalidInput, toError } from "../domain/errors.ts";
import { LIFECYCLE_EVENTS, type LifecycleEvent } from "../domain/lifecycle.ts";
import { type SyncOptions, syncOptionsSchema } from "../domain/syncOptions.ts";
import { type FileDestination, toFileDestination } from "./destinationSchema.ts";
import { checkFile } from "./fileChecks.ts";
import { type FieldPath, type FileProblem, invalidFile } from "./fileProblem.ts";
import { type FileShape, fileSchema, type MappingEntry, SECTIONS, type SectionName } from "./fileSchema.ts";
import { schemaProblems } from "./schemaProblems.ts";
import { readYamlTree, type YamlTree } from "./yamlTree.ts";

/** Of a source with sync_engine advanced that names none. */
const DEFAULT_STATE_SCHEMA = "egret";

const MAX_FILE_BYTES = 1_048_576;

function toFileSource([name, source]: [string, FileShape["sources"][string]]): EgretFile["sources"][number] {
  const { type, url, sync_engine, state_schema } = source;
  if (sync_engine === "basic") return { name, type, url };
  return { name, type, url, stateSchema: state_schema ?? DEFAULT_STATE_SCHEMA };
}

/** What the file declares. Holds decrypted secrets: never logged. */
export interface EgretFile {
  path: string;
  workspace: string;
  sources: { name: string; type: "postgres"; url: string; stateSchema?: string }[];
  models: { name: string; source: string; query: string }[];
  destinations: FileDestination[];
  syncs: FileSync[];
  webhooks: {
    name: string;
    description: string | null;
    endpoint: string;
    events: LifecycleEvent[];
    enabled: boolean;
    autoDisableAfterExhausted: number | null;
    disableOnGone: boolean;
    honorRetryAfter: boolean;
    tls?: EndpointTls | undefined;
  }[];
  /** Things to better that do not stop anything. */
  warnings: FileProblem[];
  /** A fault at the value of a path of this file. */
  problemAt(path: FieldPath, message: string): FileProblem;
}

/** One sync of the file. */
export interface FileSync {
  name: string;
  label: string | null;
  source: string;
  object: { type: "model"; model: string } | { type: "table"; schema: string; table: string };
  destination: string;
  operation: Operation;
  key: string;
  /** Without the key; null for every column. `at` is its place in the file's list. */
  mappings: { at: number; mapping: Mapping }[] | null;
  options: SyncOptions;
}

/** Where and with what a file is read. */
export interface ReadOptions {
  /** Values of `${NAME}`. */
  env: Readonly<Record<string, string | undefined>>;
  /** Whether webhooks may have http:// and loopback endpoints (EGRET_ALLOW_HTTP). */
  allowHttp: boolean;
  /** Private or special address blocks that targets may have (EGRET_OUTBOUND_ALLOW). */
  outboundAllow?: readonly string[];
}

/**
 * Reads and checks a file.
 * @throws InvalidInput with every fault at once, each with its place; or saying why the file cannot be read.
 */
export async function readEgretFile(path: string, options: ReadOptions): Promise<EgretFile> {
  return parseEgretFile(await readText(path), path, options);
}

/**
 * Parses and checks the text of a file; `path` stands in the messages.
 * @throws InvalidInput with every fault at once, each with its place.
 */
export function parseEgretFile(text: string, path: string, options: ReadOptions): EgretFile {
  const tree = readYamlTree(text, path, options.env);
  // A text that is no YAML has no fields to speak of.
  if (tree.value === null) {
    throw invalidFile(path, tree.problems.length > 0 ? tree.problems : [tree.problemAt([], emptyMessage)]);
  }
  const value = withoutEmptySections(tree.value);
  const parsed = fileSchema.safeParse(value);
  const file = parsed.success ? parsed.data : soundParts(value);
  const { allowHttp, outboundAllow = [] } = options;
  const outbound = { allowHttp, outboundAllow };
  const checked = checkFile({ file, names: declaredNames(value), tree, outbound });
  const found = [...schemaProblems(tree, parsed.error?.issues ?? []), ...checked.problems];
  // What was not filled in fails the schema too: one problem per place is enough.
  const told = new Set(tree.problems.map((problem) => problem.field));
  const problems = [...tree.problems, ...found.filter((problem) => !told.has(problem.field))];
  if (problems.length > 0) throw invalidFile(path, problems);
  return toEgretFile({ path, shape: file, warnings: checked.warnings, tree });
}

const emptyMessage = "The file is empty; begin with a line such as `workspace: demo`.";

async function readText(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES)
      throw new InvalidInput(`${path} is larger than 1 MiB; is this the right file?`);
    bytes = await readFile(path);
  } catch (error) {
    if (error instanceof InvalidInput) throw error;
    throw new InvalidInput(unreadable(path, error), [], { cause: error });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new InvalidInput(`${path} is not UTF-8 text; save it as UTF-8`, [], { cause: error });
  }
}

function unreadable(path: string, error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case "ENOENT":
      return `${path} does not exist; name the file with --file, or start from the example in the README`;
    case "EISDIR":
      return `${path} is a folder; name the file in it`;
    case "EACCES":
      return `${path} may not be read by this user; change its permissions`;
    default:
      return `${path} cannot be read: ${toError(error).message}`;
  }
}

/** `syncs:` with nothing below it is an empty section. */
function withoutEmptySections(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([key, section]) => section !== null || !Object.hasOwn(SECTIONS, key)),
  );
}

/** The entries whose own shape is right: enough to check what holds between them. */
function soundParts(value: unknown): FileShape {
  const shape: FileShape = {
    workspace: "",
    sources: {},
    models: {},
    destinations: {},
    syncs: {},
    webhooks: {},
  };
  for (const [section, schema] of Object.entries(SECTIONS)) {
    const sound: Record<string, unknown> = {};
    for (const [name, entry] of Object.entries(sectionOf(value, section))) {
      const parsed = schema.safeParse(entry);
      if (parsed.success) sound[name] = parsed.data;
    }
    Object.assign(shape, { [section]: sound });
  }
  return shape;
}

function declaredNames(value: unknown): Record<SectionName, string[]> {
  const names = (section: SectionName): string[] => Object.keys(sectionOf(value, section));
  return {
    sources: names("sources"),
    models: names("models"),
    destinations: names("destinations"),
    syncs: names("syncs"),
    webhooks: names("webhooks"),
  };
}

function sectionOf(value: unknown, section: string): object {
  const found: unknown = (value as Record<string, unknown>)[section];
  return typeof found === "object" && found !== null && !Array.isArray(found) ? found : {};
}

interface CheckedFile {
  path: string;
  shape: FileShape;
  warnings: FileProblem[];
  tree: YamlTree;
}

/** A file whose parts have been checked, as the rest of the code reads it. */
export function toEgretFile({ path, shape, warnings, tree }: CheckedFile): EgretFile {
  return {
    path,
    workspace: shape.workspace,
    sources: Object.entries(shape.sources).map(toFileSource),
    models: Object.entries(shape.models).map(([name, { source, query }]) => ({ name, source, query })),
    destinations: Object.entries(shape.destinations).map((entry) => toFileDestination(...entry)),
    syncs: Object.entries(shape.syncs).map(([name, sync]) => toFileSync(name, sync, shape)),
    webhooks: Object.entries(shape.webhooks).map(
      ([name, { description, endpoint, events, tls, ...webhook }]) => ({
        name,
        description: description ?? null,
        endpoint,
        // In the order of the list of events, so that writing them in another order changes nothing.
        events: LIFECYCLE_EVENTS.filter((event) => events === undefined || events.includes(event)),
        enabled: webhook.enabled,
        autoDisableAfterExhausted: webhook.auto_disable_after_exhausted ?? null,
        disableOnGone: webhook.disable_on_gone,
        honorRetryAfter: webhook.honor_retry_after,
        tls,
      }),
    ),
    warnings,
    problemAt: (place, message) => tree.problemAt(place, message),
  };
}

function toFileSync(name: string, sync: FileShape["syncs"][string], shape: FileShape): FileSync {
  const [schema = "", table = ""] = (sync.table ?? "").split(".");
  const model = sync.model ?? "";
  return {
    name,
    label: sync.label ?? null,
    source: sync.source ?? shape.models[model]?.source ?? "",
    object: sync.table === undefined ? { type: "model", model } : { type: "table", schema, table },
    destination: sync.destination,
    operation: sync.operation,
    key: sync.key,
    mappings: sync.mappings?.map((entry, at) => ({ at, mapping: toMapping(entry) })) ?? null,
    options: syncOptionsSchema.parse(sync),
  };
}

/** What is as it would be anyway is left out, so that writing it down changes nothing. */
function toMapping(entry: string | MappingEntry): Mapping {
  if (typeof entry === "string") return { column: entry, to: entry };
  const { column, constant, template, metadata, to, sync_null_values, field_type, basic_type } = entry;
  const type = field_type === undefined ? {} : { field_type };
  if (column !== undefined)
    return { column, to, ...(sync_null_values === false ? { sync_null_values } : {}), ...type };
  if (template !== undefined) return { template, to, ...type };
  if (metadata !== undefined) return { metadata, to };
  return { constant: constant ?? null, to, ...(basic_type === "datetime" ? { basic_type } : {}) };
}
