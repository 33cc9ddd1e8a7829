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

/** A statement that goes on is cancelled again after this time, ms: between two there is nothing to cancel. */
const CANCEL_EVERY_MS = 50;

/** Has Postgres break off whatever this connection is doing, from the abort of the signal until it is told to stop. */
function cancelWhenAborted(
  pool: pg.Pool,
  client: pg.PoolClient,
  signal: AbortSignal | undefined,
): () => void {
  let timer: NodeJS.Timeout | null = null;
  const pid = (client as { processID?: number | null }).processID;
  const cancel = (): void => {
    // A connection that cannot be had now is had a moment later, or the statement ends by itself.
    void pool.query("SELECT pg_cancel_backend($1)", [pid]).catch(() => undefined);
    timer = setTimeout(cancel, CANCEL_EVERY_MS);
  };
  signal?.addEventListener("abort", cancel, { once: true });
  return () => {
    signal?.removeEventListener("abort", cancel);
    if (timer !== null) clearTimeout(timer);
  };
}

/**
 * Runs `work` in a transaction and returns what it returns; whatever it throws rolls everything back, and so does an
 * abort of `signal`, whose reason is then thrown.
 * @throws Unavailable when Postgres does not answer or the connection breaks.
 */
export function inTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  return inTransactionFrom({ pool, opening: "BEGIN", signal }, work);
}

/** The same; `opening` begins the transaction, with settings of its own where a query for them would only cost time. */
export async function inTransactionFrom<T>(
  { pool, opening, signal }: { pool: pg.Pool; opening: string; signal?: AbortSignal | undefined },
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
  const stopCancelling = cancelWhenAborted(pool, client, signal);
  let broken = true;
  try {
    signal?.throwIfAborted();
    await client.query(opening);
    const result = await work(client);
    signal?.throwIfAborted();
    await client.query("COMMIT");
    // A cancellation that is still on its way must not meet the connection's next user.
    broken = signal?.aborted === true;
    return result;
  } catch (thrown) {
    if (signal?.aborted === true) throw signal.reason as Error;
    const error = loss !== null && !(thrown instanceof AppError) ? loss : toError(thrown);
    if (!(error instanceof AppError) && (loss !== null || isLost(error))) {
      throw new Unavailable(`our Postgres broke off: ${error.message}`, { cause: error });
    }
    throw error;
  } finally {
    stopCancelling();
    client.off("error", onError);
    // After a failure the connection may be in the middle of a COPY: closing it is the rollback.
    client.release(broken);
  }
}
