/** Notices that a destination does not let us in: several answers in a row that speak of credentials, not of rows. */

/** So many answers of 401 or 403 in a row mean that no row would be taken. Source: ours; behaviour.md 12.3. */
const MOST_IN_A_ROW = 3;

const OF_CREDENTIALS: ReadonlySet<number> = new Set([401, 403]);

/** Counts for each destination, in one process. */
export class LockedOut {
  readonly #inARow = new Map<number, number>();

  /** Told of each answer; one without a status line says nothing of credentials. */
  answered(destinationId: number, httpStatus: number | null): void {
    if (httpStatus === null) return;
    if (OF_CREDENTIALS.has(httpStatus))
      this.#inARow.set(destinationId, (this.#inARow.get(destinationId) ?? 0) + 1);
    else this.#inARow.delete(destinationId);
  }

  /** Whether this answer stands for a destination that refuses everything. */
  isSo(destinationId: number, httpStatus: number | null): boolean {
    const isOfCredentials = httpStatus !== null && OF_CREDENTIALS.has(httpStatus);
    return isOfCredentials && (this.#inARow.get(destinationId) ?? 0) >= MOST_IN_A_ROW;
  }
}
