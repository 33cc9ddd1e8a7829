/**
 * What every connection to a Postgres is told, so that neither end waits for one that is gone: a host that died or a
 * network that was cut says no farewell, and what is left to itself is noticed after two hours (Linux' default).
 */

/** Options of a connection for `pg`. */
export const NOTICES_LOST_SERVER = {
  /** Asked after so long without a word; Node asks ten times more, a second apart. Left out, it is the system's two hours. */
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
} as const;

/** How long a new connection may take until it can be used, ms. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** Of the server, for a session whose client is gone. */
const SETTINGS = {
  // 25 s after the last word of a client whose host vanished, its session goes, and with it its locks: the lock on a run,
  // for which another worker waits, and a source's snapshot, for which its vacuum does.
  tcp_keepalives_idle: "10",
  tcp_keepalives_interval: "5",
  tcp_keepalives_count: "3",
  // The same while rows are on their way to it: then nobody asks, the rows are sent again, for a quarter of an hour.
  tcp_user_timeout: "30s",
  // The backstop, for a client that is there and stands still: its network answers, its transaction keeps its locks. A
  // plan is made in one transaction that waits for each query of the source, which may take ten minutes each.
  idle_in_transaction_session_timeout: "1h",
};

/** A server busy with a query, or waiting for a lock, does not look at its client otherwise, until it has something to send. */
const LOOKS_AT_CLIENT_EVERY = "5s";

/**
 * SQL expressions that make these settings of the session, with commas between. They are not asked for with the
 * connection, as PgBouncer refuses a connection that asks for what it does not know.
 */
export const NOTICES_LOST_CLIENT = [
  ...Object.entries(SETTINGS).map(([name, value]) => `set_config('${name}', '${value}', false)`),
  // It came with 14, and servers on Windows and older ones on macOS refuse it.
  `CASE WHEN current_setting('server_version_num')::int >= 140000 AND version() ~* 'linux'
     THEN set_config('client_connection_check_interval', '${LOOKS_AT_CLIENT_EVERY}', false) END`,
].join(", ");
