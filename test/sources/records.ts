/** The records of a sync as its source and the builder make them, without plan or batches. */
import pg from "pg";
import { afterAll } from "vitest";
import type { Mapping, Sync } from "../../src/domain/configuration.ts";
import type { SyncOptions } from "../../src/domain/syncOptions.ts";
import { CopyBinaryReader } from "../../src/engine/copyBinary.ts";
import { recordOf } from "../../src/engine/invalidRows.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import type { CompiledSync } from "../../src/sources/source.ts";
import { makeSync } from "../engine/fixture.ts";
import { testDatabase } from "../support/namespace.ts";

/** One row of a source: the text of its record, or why it has none. */
export type Made = { key: string; hash: string } & ({ record: string } | { invalid: string });

export interface Records {
  sourceUrl: string;
  onSource(sql: string): Promise<pg.QueryResult>;
  /** A sync over a query, by its column id. */
  sync(query: string, mappings: Mapping[], options?: Partial<SyncOptions>): Sync;
  compile(sync: Sync): Promise<CompiledSync>;
  made(sync: Sync): Promise<Made[]>;
  /** The text of the record of a query's only row. */
  one(query: string, mappings: Mapping[], options?: Partial<SyncOptions>): Promise<string>;
  /** Why the only row of a query is invalid. */
  faultOf(query: string, mappings: Mapping[], options?: Partial<SyncOptions>): Promise<string>;
}

/** Facts of the run for which records are made. */
export const RUN = { runId: 7011, startedAt: new Date("2026-02-03T10:00:00.123Z") };

export const KEY: Mapping = { column: "id", to: "unique_id", key: true };

/** Opens a source of its own, which closes after the file's last test. */
export async function openRecords(): Promise<Records> {
  const { url: sourceUrl } = await testDatabase();
  const pool = new pg.Pool({ connectionString: sourceUrl, max: 1 });
  afterAll(() => pool.end());

  const sync: Records["sync"] = (query, mappings, options = {}) =>
    makeSync({
      sourceUrl,
      object: { type: "model", modelId: 1, name: "rows", query },
      mappings: [KEY, ...mappings],
      options,
    });

  const compile = async (sync: Sync): Promise<CompiledSync> =>
    postgresSource.compile(sync, await postgresSource.describeObject(sync.source, sync.object));

  const made = async (sync: Sync): Promise<Made[]> => {
    const compiled = await compile(sync);
    const snapshot = await postgresSource.openSnapshot(sync.source);
    const found: Made[] = [];
    const reader = new CopyBinaryReader();
    try {
      const stream = await snapshot.copyOut(compiled.recordsSql(null, RUN));
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        reader.push(chunk, ([key, hash, raw]) => {
          const row = { key: key?.toString() ?? "", hash: hash?.toString("hex") ?? "" };
          const result = recordOf(compiled, raw ?? null);
          found.push(
            "record" in result ? { ...row, record: result.record.toString() } : { ...row, ...result },
          );
        });
      }
    } finally {
      await snapshot.close();
    }
    return found;
  };

  const only: Records["one"] = async (query, mappings, options) => {
    const [row] = await made(sync(query, mappings, options));
    if (row === undefined || "invalid" in row) throw new Error(row === undefined ? "no row" : row.invalid);
    return row.record;
  };

  const faultOf: Records["faultOf"] = async (query, mappings, options) => {
    const [row] = await made(sync(query, mappings, options));
    return row !== undefined && "invalid" in row ? row.invalid : "";
  };

  return { sourceUrl, onSource: (text) => pool.query(text), sync, compile, made, one: only, faultOf };
}
