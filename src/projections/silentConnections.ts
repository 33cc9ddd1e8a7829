/** Breaks connections to our Postgres whose other end is gone without a word, so that nobody waits for an answer that cannot come. */
import type { Socket } from "node:net";
import pg from "pg";
import { CONNECT_TIMEOUT_MS, NOTICES_LOST_CLIENT, NOTICES_LOST_SERVER } from "../domain/lostConnections.ts";

/** How long something is waited for, ms. */
export interface Patience {
  /** A connection on which nothing came or went for so long is looked at, and again after as long. */
  silenceMs: number;
  /** So long the server has to say whether it knows a session. */
  askMs: number;
}

const PATIENCE: Patience = { silenceMs: 20_000, askMs: 5_000 };
/** So often in a row the server may be out of reach before a silent connection is broken: after 75 s. */
const MAX_UNREACHABLE = 3;

/** What `pg` keeps of a connection and its types do not name. */
interface Innards {
  connection: { stream: Socket };
  readyForQuery: boolean;
}

/** One of a pool: what a server that does not answer may take to connect is bounded, waiting for its turn in the pool is not. */
export class BoundedClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super({ ...config, ...NOTICES_LOST_SERVER, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  }
}

/**
 * Makes both ends of a new connection notice when the other is gone.
 *
 * TCP alone tells of a server that vanished only while nothing is on its way to it. A query that was sent into the void
 * is sent again for a quarter of an hour (Linux' default), which Node cannot change; and a limit to the time of queries
 * would have to be above that of the longest comparison. So while a query is not answered the server is asked, on
 * another connection, whether it still knows the session.
 */
export async function noticeLoss(client: pg.ClientBase, url: string, patience = PATIENCE): Promise<void> {
  const { silenceMs, askMs } = patience;
  const { rows } = await client.query<{ backend: number }>({
    text: `SELECT pg_backend_pid() AS backend, ${NOTICES_LOST_CLIENT}`,
    query_timeout: CONNECT_TIMEOUT_MS,
  } as pg.QueryConfig);
  const backend = rows[0]?.backend ?? 0;
  const innards = client as unknown as Innards;
  const { stream } = innards.connection;
  let unreachable = 0;
  const look = async (): Promise<void> => {
    // Ended by us, and the server does not answer to that either.
    if (stream.writableEnded) stream.destroy();
    if (stream.destroyed) return;
    if (innards.readyForQuery) unreachable = 0;
    else {
      const isKnown = await knowsSession(url, backend, askMs);
      unreachable = isKnown === null ? unreachable + 1 : 0;
      const isLost = isKnown === false || unreachable >= MAX_UNREACHABLE;
      // The answer can have come just now.
      if (isLost && !innards.readyForQuery) stream.destroy(lossOf(isKnown));
    }
    stream.setTimeout(silenceMs);
  };
  stream.setTimeout(silenceMs);
  stream.on("timeout", () => void look());
}

function lossOf(isKnown: boolean | null): Error {
  const why = isKnown === null ? "cannot be reached any more" : "does not know it any more";
  return Object.assign(new Error(`connection terminated: our Postgres ${why}`), { code: "ECONNRESET" });
}

/** Whether the server has the session still; null when it cannot be reached. */
async function knowsSession(url: string, backend: number, askMs: number): Promise<boolean | null> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: askMs,
    query_timeout: askMs,
    application_name: "egret",
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { rowCount } = await client.query("SELECT FROM pg_stat_activity WHERE pid = $1", [backend]);
    return (rowCount ?? 0) > 0;
  } catch (error) {
    // A server that refuses us, as for too many connections, is there.
    return error instanceof pg.DatabaseError ? true : null;
  } finally {
    void client.end().catch(() => undefined);
  }
}
