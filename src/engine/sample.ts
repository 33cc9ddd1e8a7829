/** Reads a few rows of a sync as they would be sent, and remembers nothing of them. */
import { RunFailure } from "../domain/errors.ts";
import type { CompiledSync, RunFacts, SourceSnapshot } from "../sources/source.ts";
import type { PlannedRow } from "./batchCutter.ts";
import { CopyBinaryReader } from "./copyBinary.ts";
import { recordOf } from "./invalidRows.ts";
import { MAX_KEY_BYTES } from "./scratch.ts";

/** Which rows: those with the keys, else the first that the source gives. */
export interface SampleRequest {
  snapshot: SourceSnapshot;
  compiled: CompiledSync;
  run: RunFacts;
  keys: readonly string[] | null;
  limit: number;
}

/** Rows as they would be sent, and how many of those that were read would not be. */
export interface Sample {
  rows: PlannedRow[];
  /** Why each row is set aside: no value of it. */
  invalid: string[];
}

/** Reads them in one query. Whether a key is there twice is not looked for. */
export async function readSample({ snapshot, compiled, run, keys, limit }: SampleRequest): Promise<Sample> {
  const all = compiled.recordsSql(keys, run);
  const reader = new CopyBinaryReader();
  const sample: Sample = { rows: [], invalid: [] };
  const sqlText = `SELECT * FROM (${all}\n) AS sample LIMIT ${limit}`;
  for await (const chunk of (await snapshot.copyOut(sqlText)) as AsyncIterable<Buffer>) {
    reader.push(chunk, ([key, hash, raw]) => {
      if (!key || !hash) sample.invalid.push("NULL");
      else if (key.length > MAX_KEY_BYTES)
        sample.invalid.push(`The key is longer than ${MAX_KEY_BYTES} bytes`);
      else {
        const built = recordOf(compiled, raw ?? null);
        if ("invalid" in built) sample.invalid.push(built.invalid);
        else sample.rows.push({ key, hash, record: built.record });
      }
    });
  }
  if (!reader.ended)
    throw new RunFailure("SOURCE_CONNECTION_FAILED", "The source stopped in the middle of its rows");
  return sample;
}

/** The first keys in their order, by bytes, that one row alone has. */
export async function readFirstKeys(
  snapshot: SourceSnapshot,
  { keysSql }: Pick<CompiledSync, "keysSql">,
  limit: number,
): Promise<string[]> {
  const reader = new CopyBinaryReader();
  const keys: string[] = [];
  const sqlText = `SELECT key FROM (${keysSql}\n) AS k WHERE octet_length(key) <= ${MAX_KEY_BYTES}
    GROUP BY key HAVING count(*) = 1 ORDER BY key COLLATE "C" LIMIT ${limit}`;
  for await (const chunk of (await snapshot.copyOut(sqlText)) as AsyncIterable<Buffer>) {
    reader.push(chunk, ([key]) => {
      if (key) keys.push(key.toString("utf8"));
    });
  }
  return keys;
}
