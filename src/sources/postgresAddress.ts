/** The address of a Postgres source as its driver gets it. */

/** Encrypts, and by libpq's rules checks less than the name of the server. */
const WEAKER = /([?&]sslmode=)(?:prefer|require|verify-ca)(?=&|$)/;

/**
 * Whoever asks for encryption gets the server's certificate checked, as by verify-full; `no-verify` alone does without
 * (ours). Said outright, since the driver warns of every other name for it. With `uselibpqcompat` libpq's rules hold.
 */
export function driverAddress(url: string): string {
  return url.includes("uselibpqcompat=") ? url : url.replace(WEAKER, "$1verify-full");
}

/** How long one statement of a run may take, ms, unless the address says otherwise. Source: ours. */
const STATEMENT_TIMEOUT_MS = 600_000;

/** How long one statement of a run may take, ms: what `statement_timeout` in the address says, by Postgres' own unit. */
export function statementTimeoutMs(url: string): number {
  const wanted = Number(/[?&]statement_timeout=(\d{1,9})(?=&|$)/.exec(url)?.[1] ?? 0);
  return wanted > 0 ? wanted : STATEMENT_TIMEOUT_MS;
}
