/** Checks one object as `egret apply` would check it in a file with all the others of its workspace. */
import type { FieldProblem } from "../domain/errors.ts";
import { mappingsOf } from "./columnChecks.ts";
import {
  type ConfigItem,
  changedFields,
  type FieldChange,
  itemsOfFile,
  type StoredItem,
} from "./configItem.ts";
import { missingFields } from "./destinationChecks.ts";
import { type EgretFile, type FileSync, toEgretFile } from "./egretFile.ts";
import { checkFile } from "./fileChecks.ts";
import { type FileProblem, fieldName } from "./fileProblem.ts";
import { type FileShape, SECTIONS, type SectionName } from "./fileSchema.ts";
import { type EntryOf, entryOf, type ObjectKind, SECTION_OF } from "./objectEntries.ts";
import { invalidObject, textFaults } from "./objectProblems.ts";
import { usersOf } from "./objectUses.ts";
import { schemaProblems } from "./schemaProblems.ts";
import { type Column, checkSources, type DescribeObject } from "./sourceChecks.ts";
import type { YamlTree } from "./yamlTree.ts";

/** One object as it is to be, among those that stand. */
export interface ObjectToCheck<K extends ObjectKind> {
  kind: K;
  name: string;
  entry: EntryOf[K];
  /** As it stands; null for a new one. */
  before: StoredItem | null;
  /** All of the workspace. */
  items: readonly StoredItem[];
  describe: DescribeObject;
  outbound: { allowHttp: boolean; outboundAllow: readonly string[] };
}

/** An object that passed. Holds decrypted secrets: never logged. */
export interface CheckedObject {
  item: ConfigItem;
  /** Of a model that the source was asked about. */
  columns: readonly Column[] | null;
}

/** What a sync may change without its source being asked again: none of it decides which rows and fields are read. */
const QUIET_FIELDS = new Set([
  "label",
  "paused",
  "schedule",
  "sync_sequence",
  "overlap_policy",
  "historical_sync_operation",
  "max_delete_percent",
  "max_rejected_percent",
  "split_rejected_batches",
  "field_order",
  "timestamp_format",
  "alerts",
]);

/**
 * The object as it would be written.
 * @throws InvalidInput with every fault, `field` being relative to the entry, or that of another object which the
 * change would break.
 */
export async function checkObject<K extends ObjectKind>(wanted: ObjectToCheck<K>): Promise<CheckedObject> {
  const { kind, name, entry, before } = wanted;
  const faults = textFaults(entry, "");
  if (faults.length > 0) throw invalidObject(faults);
  const file = readAsFile(wanted);
  const { problems, mappings, columns } = await askSource(wanted, file);
  if (problems.length > 0) throw invalidObject(relative(wanted, problems));
  if (kind === "destination" && before !== null) refuseBrokenSyncs(wanted, file);
  const item = itemsOfFile(file, mappings).find((each) => each.kind === kind && each.name === name);
  if (item === undefined) throw new Error(`${kind} ${name} is not in its own file`);
  return { item, columns: kind === "model" ? (columns.get(name) ?? null) : null };
}

/** The workspace with this object in it, as far as no source has to be asked. */
function readAsFile<K extends ObjectKind>({ kind, name, entry, before, ...among }: ObjectToCheck<K>) {
  const { items, outbound } = among;
  const section = SECTION_OF[kind];
  const own = SECTIONS[section].safeParse(entry);
  const value = { [section]: { [name]: entry } };
  if (!own.success) {
    const issues = own.error.issues.map((issue) => ({ ...issue, path: [section, name, ...issue.path] }));
    throw invalidObject(relative({ kind, name }, schemaProblems(plainTree(value), issues)));
  }
  const tree = plainTree(null);
  const standing = shapeOf(concernedBy({ kind, name, entry }, items));
  const shape = { ...standing, [section]: { ...standing[section], [name]: own.data } };
  const names = namesIn(items);
  if (before === null) names[section].push(name);
  const { problems } = checkFile({ file: shape, names, tree, outbound });
  const isOwn = ({ field }: FileProblem) => isInside(field, section, name);
  const found = problems.filter(isOwn);
  const elsewhere = problems.filter((problem) => !isOwn(problem));
  if (elsewhere.length > 0) {
    // Of faults that stood before this change says nothing.
    const former = new Set(checkFile({ file: standing, names, tree, outbound }).problems.map(identity));
    found.push(...elsewhere.filter((problem) => !former.has(identity(problem))));
  }
  if (found.length > 0) throw invalidObject(relative({ kind, name }, found));
  return toEgretFile({ path: "", shape, warnings: [], tree });
}

/** Asks the source about a model or sync, if something changes that it has to do with. */
async function askSource<K extends ObjectKind>(
  { kind, name, before, describe }: ObjectToCheck<K>,
  file: EgretFile,
) {
  const nothing = { problems: [], mappings: new Map(), columns: new Map<string, readonly Column[]>() };
  if (kind === "model") {
    const models = file.models.filter((each) => each.name === name);
    const [model] = models;
    const isSame = model?.query === before?.settings["query"] && model?.source === before?.settings["source"];
    if (before !== null && isSame) return nothing;
    return checkSources({ ...file, models, syncs: [] }, describe);
  }
  const sync = kind === "sync" ? file.syncs.find((each) => each.name === name) : undefined;
  if (sync === undefined) return nothing;
  const stored = before === null ? null : mappingsAsTheyStand(sync, before, file);
  if (stored !== null) return { ...nothing, mappings: new Map([[name, stored]]) };
  const { object } = sync;
  const models = file.models.filter((each) => object.type === "model" && each.name === object.model);
  return checkSources({ ...file, models, syncs: [sync] }, describe);
}

/** The mappings of a sync of which nothing changes that its source could object to; null when something does. */
function mappingsAsTheyStand(sync: FileSync, before: StoredItem, file: EgretFile) {
  const stored = before.settings["mappings"] as ReturnType<typeof mappingsOf>;
  const isOpen = sync.mappings === null && stored.length > 0;
  const declared = sync.mappings?.map(({ mapping }) => mapping) ?? stored;
  const after = itemsOfFile(file, new Map([[sync.name, declared]])).find(
    (each) => each.kind === "sync" && each.name === sync.name,
  );
  if (isOpen || after === undefined) return null;
  return loudChanges(before, after).length === 0 ? [...declared] : null;
}

/** What changes of a sync that decides which rows and fields are read, and where they go. */
export function loudChanges(before: ConfigItem, after: ConfigItem): FieldChange[] {
  return changedFields(before, after).filter(({ field }) => !QUIET_FIELDS.has(field));
}

/** @throws InvalidInput naming the syncs that do not send what the changed destination asks for, and did before. */
function refuseBrokenSyncs<K extends ObjectKind>(
  { kind, name, before, items }: ObjectToCheck<K>,
  file: EgretFile,
): void {
  const after = file.destinations.find((each) => each.name === name);
  if (after === undefined || before === null) return;
  const settings = { ...before.settings };
  delete settings["type"];
  const former = {
    ...after,
    type: before.settings["type"],
    settings,
    secrets: before.secrets,
  } as typeof after;
  const problems = usersOf(items, { kind, name }).flatMap((user) => {
    const sync = file.syncs.find((each) => each.name === user.name);
    if (sync === undefined) return [];
    const mappings = user.settings["mappings"] as ReturnType<typeof mappingsOf>;
    const stood = new Set(missingFields(former, sync, mappings).map(({ message }) => message));
    return missingFields(after, sync, mappings)
      .filter(({ message }) => !stood.has(message))
      .map(({ path, message }) => ({
        field: fieldName(path),
        message: `It ${message} That is for sync "${user.name}".`,
      }));
  });
  if (problems.length > 0) throw invalidObject(problems);
}

/** What a check of this object has to look at: with all of a large workspace each change would take a second. */
function concernedBy(
  { kind, name, entry }: { kind: ObjectKind; name: string; entry: EntryOf[ObjectKind] },
  items: readonly StoredItem[],
): StoredItem[] {
  const byName = new Map(items.map((item) => [`${item.kind} ${item.name}`, item]));
  const concerned = new Set<StoredItem>();
  const add = (of: ObjectKind, referred: unknown): void => {
    const item = typeof referred === "string" ? byName.get(`${of} ${referred}`) : undefined;
    if (item === undefined || concerned.has(item)) return;
    concerned.add(item);
    addReferences(item.settings);
  };
  const addReferences = (settings: Readonly<Record<string, unknown>>): void => {
    for (const referred of ["source", "model", "destination"] as const) add(referred, settings[referred]);
    add("sync", settings["sync_sequence"]);
  };
  add(kind, name);
  addReferences(entry);
  // Of the others nothing depends on more than the name.
  const users = kind === "model" || kind === "destination" ? usersOf(items, { kind, name }) : [];
  for (const user of users) add("sync", user.name);
  return [...concerned];
}

function shapeOf(items: readonly StoredItem[]): FileShape {
  const shape: FileShape = {
    workspace: "",
    sources: {},
    models: {},
    destinations: {},
    syncs: {},
    webhooks: {},
  };
  for (const item of items) {
    if (item.kind === "workspace") {
      shape.workspace = item.name;
      continue;
    }
    // One that an older release wrote and this one would not: it is there, and nothing more can be said of it.
    const parsed = SECTIONS[SECTION_OF[item.kind]].safeParse(entryOf(item.kind, item));
    if (parsed.success) Object.assign(shape[SECTION_OF[item.kind]], { [item.name]: parsed.data });
  }
  return shape;
}

function namesIn(items: readonly StoredItem[]): Record<SectionName, string[]> {
  const names = (kind: ObjectKind) => items.filter((item) => item.kind === kind).map(({ name }) => name);
  return {
    sources: names("source"),
    models: names("model"),
    destinations: names("destination"),
    syncs: names("sync"),
    webhooks: names("webhook"),
  };
}

/** Values that stand in no file: a place is only a field. What was sent is never quoted, it could be a secret. */
function plainTree(value: unknown): YamlTree {
  const problem = (path: Parameters<typeof fieldName>[0], message: string): FileProblem => ({
    file: "",
    line: 0,
    column: 0,
    field: fieldName(path),
    message,
  });
  return {
    value,
    problemAt: problem,
    problemAtKey: problem,
    isFromEnvironment: () => true,
    problems: [],
  };
}

const identity = ({ field, message }: FieldProblem): string => `${field} ${message}`;

function isInside(field: string, section: string, name: string): boolean {
  const top = `${section}.${name}`;
  return field === top || field.startsWith(`${top}.`) || field.startsWith(`${top}[`);
}

/** Fields below the object's own; of what it reads from, the field that names that. */
function relative(
  { kind, name }: { kind: ObjectKind; name: string },
  problems: readonly FileProblem[],
): FieldProblem[] {
  return problems.map(({ field, message }) => {
    const top = `${SECTION_OF[kind]}.${name}`;
    if (isInside(field, SECTION_OF[kind], name)) {
      return { field: field.slice(top.length).replace(/^\./, ""), message };
    }
    if (kind === "sync" && field.startsWith("models.")) return { field: "model", message };
    if ((kind === "sync" || kind === "model") && field.startsWith("sources."))
      return { field: "source", message };
    return { field, message };
  });
}
