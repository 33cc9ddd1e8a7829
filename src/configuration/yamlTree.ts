/** Reads YAML into plain values while remembering where each value stands, and fills in `${NAME}` on the way. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from "yaml";
import { type FieldPath, type FileProblem, fieldName } from "./fileProblem.ts";
import { fillReferences, maskReferences, unmaskReferences } from "./placeholders.ts";

/** Far above any real file; it stops aliases that multiply each other. */
const MAX_VALUES = 100_000;
const MAX_DEPTH = 20;

/** The values of a file, and what is known of their places. */
export interface YamlTree {
  /** Maps have no prototype. */
  value: unknown;
  /** A fault at the value of a path, or at the nearest place above it that the file has. */
  problemAt(path: FieldPath, message: string): FileProblem;
  /** A fault at the key that ends the path. */
  problemAtKey(path: FieldPath, message: string): FileProblem;
  /** Whether a text at this path took something from the environment. */
  isFromEnvironment(path: FieldPath): boolean;
  problems: FileProblem[];
}

interface Place {
  key: number;
  value: number;
}

/** Parses one YAML document. Never throws: what is wrong is in `problems`. */
export function readYamlTree(
  text: string,
  file: string,
  env: Readonly<Record<string, string | undefined>>,
): YamlTree {
  const lines = new LineCounter();
  const document = parseDocument(maskReferences(text), {
    lineCounter: lines,
    prettyErrors: false,
    merge: false,
  });
  const reader = new Reader(env);
  const at = (offset: number, path: FieldPath, message: string): FileProblem => {
    const { line, col: column } = lines.linePos(offset);
    return { file, line, column, field: fieldName(path), message: `${file}:${line}:${column}: ${message}` };
  };
  const problems = [...document.errors, ...document.warnings].map((fault) =>
    at(fault.pos[0], [], `not valid YAML: ${unmaskReferences(fault.message)}`),
  );
  const value = problems.length === 0 ? reader.read(document.contents, []) : null;
  const find = (path: FieldPath): Place => {
    for (let length = path.length; length >= 0; length -= 1) {
      const place = reader.places.get(pathKey(path.slice(0, length)));
      if (place !== undefined) return place;
    }
    return { key: 0, value: 0 };
  };
  problems.push(...reader.faults.map((fault) => at(find(fault.path).value, fault.path, fault.message)));
  return {
    value,
    problemAt: (path, message) => at(find(path).value, path, message),
    problemAtKey: (path, message) => at(find(path).key, path, message),
    isFromEnvironment: (path) => reader.fromEnvironment.has(pathKey(path)),
    problems,
  };
}

function pathKey(path: FieldPath): string {
  return JSON.stringify(path);
}

/** Walks the parsed document once. */
class Reader {
  readonly places = new Map<string, Place>();
  readonly fromEnvironment = new Set<string>();
  readonly faults: { path: FieldPath; message: string }[] = [];
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #anchors = new Map<string, Node>();
  #values = 0;

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#env = env;
  }

  read(node: unknown, path: FieldPath, keyOffset?: number): unknown {
    const offset = (node as Node | null)?.range?.[0] ?? keyOffset ?? 0;
    this.places.set(pathKey(path), { key: keyOffset ?? offset, value: offset });
    this.#values += 1;
    if (this.#values > MAX_VALUES || path.length > MAX_DEPTH) {
      if (this.#values <= MAX_VALUES + 1)
        this.#fault(path, "The file nests too deeply or repeats too much by aliases.");
      this.#values = Math.max(this.#values, MAX_VALUES + 1);
      return null;
    }
    if (isAlias(node)) return this.#readAlias(node.source, path, offset);
    if (isMap(node) || isSeq(node) || isScalar(node)) {
      if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    }
    if (isMap(node)) return this.#readMap(node.items, path);
    if (isSeq(node)) return node.items.map((item, i) => this.read(item, [...path, i]));
    if (!isScalar(node)) return null;
    return typeof node.value === "string" ? this.#fill(node.value, path) : node.value;
  }

  #readAlias(anchor: string, path: FieldPath, offset: number): unknown {
    const target = this.#anchors.get(anchor);
    if (target === undefined) {
      this.#fault(path, `The anchor &${anchor} is not defined above this line.`);
      return null;
    }
    const value = this.read(target, path, offset);
    this.places.set(pathKey(path), { key: offset, value: offset });
    return value;
  }

  #readMap(pairs: readonly Pair[], path: FieldPath): unknown {
    const map: Record<string, unknown> = Object.create(null);
    for (const pair of pairs) {
      const key = isScalar(pair.key) ? unmaskReferences(String(pair.key.value)) : "";
      const place = [...path, key];
      const keyOffset = (pair.key as Node | null)?.range?.[0] ?? 0;
      if (key === "" || key === "__proto__") {
        this.#fault(path, "A key is a plain word.");
      } else {
        map[key] = this.read(pair.value, place, keyOffset);
      }
    }
    return map;
  }

  #fill(masked: string, path: FieldPath): string {
    const { text, fromEnvironment, problems } = fillReferences(unmaskReferences(masked), this.#env);
    if (fromEnvironment) this.fromEnvironment.add(pathKey(path));
    for (const message of problems) this.#fault(path, message);
    return text;
  }

  #fault(path: FieldPath, message: string): void {
    this.faults.push({ path, message });
  }
}
