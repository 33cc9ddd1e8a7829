/** A few rows of our Postgres as the bytes that they are, by COPY: for values that are long. */
import type pg from "pg";
import { toError, Unavailable } from "../domain/errors.ts";
import { CopyOut } from "../sources/postgresCopyOut.ts";
import { CopyBinaryReader } from "./copyBinary.ts";

/**
 * The rows of a query, each field in its binary form; null is SQL NULL. The query takes no values: write them into it.
 * @throws Unavailable when Postgres cannot be reached.
 */
export async function copyOutRows(pool: pg.Pool, query: string): Promise<(Buffer | null)[][]> {
  const client = await pool.connect().catch((cause: unknown) => {
    throw new Unavailable(`our Postgres cannot be reached: ${toError(cause).message}`, { cause });
  });
  // Lost between two messages, the connection says so here; the copy fails as well.
  const ignore = (): void => undefined;
  client.on("error", ignore);
  const reader = new CopyBinaryReader();
  const rows: (Buffer | null)[][] = [];
  let isFree = false;
  try {
    const copy = client.query(new CopyOut(`COPY (${query}) TO STDOUT (FORMAT binary)`));
    for await (const chunk of copy as AsyncIterable<Buffer>)
      reader.push(chunk, (fields) => rows.push(fields));
    isFree = reader.ended;
    return rows;
  } finally {
    client.off("error", ignore);
    client.release(!isFree);
  }
}
