/** Names of the tables that the engine makes as it goes, all in schema egret_state. */

/** A key longer than this cannot be kept in the state's index, ours. */
export const MAX_KEY_BYTES = 2_000;

function checked(id: number): number {
  if (!Number.isSafeInteger(id) || id < 1) throw new RangeError(`not an id: ${id}`);
  return id;
}

/** State of a sync: key and hash of each row that its destination accepted last. Lives as long as the sync. */
export function stateTable(syncId: number): string {
  return `egret_state.rows_${checked(syncId)}`;
}

/** Keys and hashes of the source as one run saw it; unlogged, dropped with the run. */
export function stageTable(runId: number): string {
  return `egret_state.stage_${checked(runId)}`;
}
