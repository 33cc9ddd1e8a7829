/** What only the source itself can tell about egret.yaml: that models run, columns exist, and the key can be a key. */
import { KEY_FIELD, type Mapping, type Source, type SyncObject } from "../domain/configuration.ts";
import { AppError, RunFailure, Unavailable } from "../domain/errors.ts";
import { keyTypeProblem } from "../domain/syncKey.ts";
import type { EgretFile, FileSync } from "./egretFile.ts";
import type { FieldPath, FileProblem } from "./fileProblem.ts";
import { suggestion } from "./nearest.ts";

/** A column of a model or table; `type` as Postgres' format_type spells it. */
export interface Column {
  name: string;
  type: string;
}

/**
 * Lists the columns of what a sync reads, without reading rows. Throws an AppError when the source does not answer
 * (Unavailable, or RunFailure SOURCE_CONNECTION_FAILED) or when it refuses the model or table.
 */
export type DescribeObject = (source: Source, object: SyncObject) => Promise<readonly Column[]>;

/** What the sources say of a file. */
export interface SourceFindings {
  problems: FileProblem[];
  /** Mappings without the key, by the name of the sync; every column where the file names none. */
  mappings: Map<string, Mapping[]>;
}

/** Asks each source about each model and table of the file; a source that does not answer is one problem. */
export async function checkSources(file: EgretFile, describe: DescribeObject): Promise<SourceFindings> {
  const asked = new Asked(file, describe);
  for (const model of file.models) {
    const object: SyncObject = { type: "model", modelId: 0, name: model.name, query: model.query };
    await asked.columns(model.source, object, ["models", model.name, "query"]);
  }
  const mappings = new Map<string, Mapping[]>();
  for (const sync of file.syncs) {
    const columns = await asked.columnsOf(sync);
    if (columns === null) continue;
    for (const { path, message } of syncFaults(sync, columns)) {
      asked.problems.push(file.problemAt(["syncs", sync.name, ...path], message));
    }
    mappings.set(sync.name, sync.mappings?.map(({ mapping }) => mapping) ?? everyColumn(columns, sync.key));
  }
  return { problems: asked.problems, mappings };
}

/** Asks for each object once, and remembers which sources are silent. */
class Asked {
  readonly problems: FileProblem[] = [];
  readonly #file: EgretFile;
  readonly #describe: DescribeObject;
  readonly #answers = new Map<string, readonly Column[] | null>();
  readonly #silent = new Set<string>();

  constructor(file: EgretFile, describe: DescribeObject) {
    this.#file = file;
    this.#describe = describe;
  }

  async columnsOf(sync: FileSync): Promise<readonly Column[] | null> {
    if (sync.object.type === "table")
      return this.columns(sync.source, sync.object, ["syncs", sync.name, "table"]);
    const { model: name } = sync.object;
    const query = this.#file.models.find((model) => model.name === name)?.query ?? "";
    return this.columns(sync.source, { type: "model", modelId: 0, name, query }, ["models", name, "query"]);
  }

  /** The columns, or null after a problem that stands in `problems`. */
  async columns(sourceName: string, object: SyncObject, path: FieldPath): Promise<readonly Column[] | null> {
    const what = object.type === "model" ? object.name : `${sourceName} ${object.schema}.${object.table}`;
    const known = this.#answers.get(what);
    if (known !== undefined) return known;
    const declared = this.#file.sources.find((source) => source.name === sourceName);
    if (declared === undefined || this.#silent.has(sourceName)) return null;
    let columns: readonly Column[] | null = null;
    try {
      columns = await this.#describe({ id: 0, workspaceId: 0, ...declared }, object);
    } catch (error) {
      // Only what was meant for people is shown: anything else could quote an address with its password.
      if (!(error instanceof AppError)) throw error;
      const isSilent = error instanceof Unavailable || isConnectionFailure(error);
      if (isSilent) this.#silent.add(sourceName);
      const detail = error instanceof RunFailure && error.detail !== null ? ` ${error.detail}` : "";
      const place = isSilent ? ["sources", sourceName, "url"] : path;
      this.problems.push(this.#file.problemAt(place, `${error.message}${detail}`));
    }
    this.#answers.set(what, columns);
    return columns;
  }
}

function isConnectionFailure(error: AppError): boolean {
  return error instanceof RunFailure && error.runCode === "SOURCE_CONNECTION_FAILED";
}

interface Fault {
  path: FieldPath;
  message: string;
}

function syncFaults(sync: FileSync, columns: readonly Column[]): Fault[] {
  const faults: Fault[] = [];
  const keyFault = columnFault(sync.key, columns);
  const type = columns.find((column) => column.name === sync.key)?.type;
  if (keyFault !== null) faults.push({ path: ["key"], message: keyFault });
  else if (type !== undefined) {
    const problem = keyTypeProblem(type);
    if (problem !== null) faults.push({ path: ["key"], message: `"${sync.key}": ${problem}.` });
  }
  for (const { at, mapping } of sync.mappings ?? []) {
    const message = "column" in mapping ? columnFault(mapping.column, columns) : null;
    if (message !== null) faults.push({ path: ["mappings", at, "column"], message });
  }
  if (sync.mappings === null) {
    for (const { to } of everyColumn(columns, sync.key)) {
      const message = to === KEY_FIELD ? takenField(sync.key) : repeatedFault(to, columns);
      if (message !== null) faults.push({ path: ["mappings"], message });
    }
  }
  return faults;
}

function takenField(key: string): string {
  return `The column "${KEY_FIELD}" cannot travel under its name, which is that of the key "${key}"; list the mappings and give it another.`;
}

function columnFault(name: string, columns: readonly Column[]): string | null {
  const names = columns.map((column) => column.name);
  if (!names.includes(name)) return `There is no column "${name}".${suggestion(name, names)}`;
  return repeatedFault(name, columns);
}

function repeatedFault(name: string, columns: readonly Column[]): string | null {
  const isRepeated = columns.filter((column) => column.name === name).length > 1;
  return isRepeated ? `More than one column is named "${name}"; give each its own name with AS.` : null;
}

function everyColumn(columns: readonly Column[], key: string): Extract<Mapping, { column: string }>[] {
  const names = new Set(columns.map((column) => column.name));
  names.delete(key);
  return [...names].map((name) => ({ column: name, to: name }));
}
