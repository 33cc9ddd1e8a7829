/** What only the source itself can tell about egret.yaml: that models run, columns exist, and the key can be a key. */
import type { Mapping, Source, SyncObject } from "../domain/configuration.ts";
import { AppError, RunFailure, Unavailable } from "../domain/errors.ts";
import { keyTypeProblem } from "../domain/syncKey.ts";
import { columnFault, columnFaults, mappingsOf } from "./columnChecks.ts";
import { missingFields } from "./destinationChecks.ts";
import type { EgretFile, FileSync } from "./egretFile.ts";
import type { FieldPath, FileProblem } from "./fileProblem.ts";
import type { MappingFault } from "./mappingChecks.ts";

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
  /** Columns of the models that were asked about, by the name of the model. */
  columns: Map<string, readonly Column[]>;
}

/** Asks each source about each model and table of the file; a source that does not answer is one problem. */
export async function checkSources(file: EgretFile, describe: DescribeObject): Promise<SourceFindings> {
  const asked = new Asked(file, describe);
  const columnsByModel: SourceFindings["columns"] = new Map();
  for (const model of file.models) {
    const object: SyncObject = { type: "model", modelId: 0, name: model.name, query: model.query };
    const columns = await asked.columns(model.source, object, ["models", model.name, "query"]);
    if (columns !== null) columnsByModel.set(model.name, columns);
  }
  const mappings = new Map<string, Mapping[]>();
  for (const sync of file.syncs) {
    const columns = await asked.columnsOf(sync);
    if (columns === null) continue;
    for (const { path, message } of syncFaults(sync, columns)) {
      asked.problems.push(file.problemAt(["syncs", sync.name, ...path], message));
    }
    const kept = keptMappings(sync, columns);
    mappings.set(sync.name, kept);
    const destination = file.destinations.find(({ name }) => name === sync.destination);
    for (const { path, message } of destination === undefined ? [] : missingFields(destination, sync, kept)) {
      const place = ["syncs", sync.name, "destination"];
      asked.problems.push(file.problemAt(place, `In "${sync.destination}" \`${path.join(".")}\` ${message}`));
    }
  }
  return { problems: asked.problems, mappings, columns: columnsByModel };
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

function syncFaults(sync: FileSync, columns: readonly Column[]): MappingFault[] {
  const names = columns.map((column) => column.name);
  const faults: MappingFault[] = [];
  const keyFault = columnFault(sync.key, names);
  const type = columns.find((column) => column.name === sync.key)?.type;
  if (keyFault !== null) faults.push({ path: ["key"], message: keyFault });
  else if (type !== undefined) {
    const problem = keyTypeProblem(type);
    if (problem !== null) faults.push({ path: ["key"], message: `"${sync.key}": ${problem}.` });
  }
  const mark = highWaterMarkFault(sync.options.high_water_mark_attribute, columns);
  if (mark !== null) faults.push({ path: ["high_water_mark_attribute"], message: mark });
  return [...faults, ...columnFaults(sync, names)];
}

function highWaterMarkFault(name: string | undefined, columns: readonly Column[]): string | null {
  if (name === undefined) return null;
  const names = columns.map((column) => column.name);
  const type = columns.find((column) => column.name === name)?.type;
  if (type === undefined || /^(date$|timestamp)/.test(type)) return columnFault(name, names);
  return `"${name}" is of type ${type}; name a column of type date or timestamp, or leave it out.`;
}

/** What is kept of a sync's mappings: with `sync_all_properties` each run looks up the columns again. */
function keptMappings(sync: FileSync, columns: readonly Column[]): Mapping[] {
  if (sync.options.field_behavior === "sync_all_properties")
    return sync.mappings?.map(({ mapping }) => mapping) ?? [];
  return mappingsOf(
    sync,
    columns.map((column) => column.name),
  );
}
