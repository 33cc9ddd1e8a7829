/** One transaction on one connection of our pool, for work that Kysely does not express: COPY, scratch tables, SET LOCAL. */
import type pg from "pg";
import { AppError, toError, Unavailable } from "../domain/errors.ts";

/** Errors by which Postgres says that it is going away or that the connection is: trying again can help. */
function isLost(error: Error): boolean {
  const code = (error as { code?: string }).code ?? "";
  if (/^(08|57P|53)/.test(code) || code === "55P03") return true;
  return (
    /^E[A-Z]+$/.test(code) || /connection (terminated|ended)|timeout (expired|exceeded)/i.test(error.message)
  );
}

/**
 * Runs `work` in a transaction and returns what it returns; whatever it throws rolls everything back.
 * @throws Unavailable when Postgres does not answer or the connection breaks.
 */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  let client: pg.PoolClient;
  try {
    client = await pool.connect();
  } catch (thrown) {
    throw new Unavailable(`our Postgres cannot be reached: ${toError(thrown).message}`, { cause: thrown });
  }
  // Lost between two queries, it is told here, and the next query fails with an error that has no code.
  let loss: Error | null = null;
  const onError = (error: Error): void => {
    loss ??= error;
  };
  client.on("error", onError);
  let broken = true;
  try {
    await client.query("BEGIN");
    const result = await work(client);
    await client.query("COMMIT");
    broken = false;
    return result;
  } catch (thrown) {
    const error = loss !== null && !(thrown instanceof AppError) ? loss : toError(thrown);
    if (!(error instanceof AppError) && (loss !== null || isLost(error))) {
      throw new Unavailable(`our Postgres broke off: ${error.message}`, { cause: error });
    }
    throw error;
  } finally {
    client.off("error", onError);
    // After a failure the connection may be in the middle of a COPY: closing it is the rollback.
    client.release(broken);
  }
}
