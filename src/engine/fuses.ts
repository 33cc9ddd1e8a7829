/** The fuses of a sync: a run that would delete, or had rejected, too large a share of its rows stops. */
import { RunFailure } from "../domain/errors.ts";

/** Fewer rejected rows than this never stop a run, ours: a share of few rows says nothing. */
const MIN_REJECTED_ROWS = 20;

const percentOf = (part: number, whole: number) => (whole === 0 ? 0 : (100 * part) / whole);
const shown = (percent: number) => `${Math.round(percent * 10) / 10} %`;

/** The failure of a run that would delete a larger share of what was sent than `max_delete_percent`; null else. */
export function deleteGuard(
  { deletes, remembered }: { deletes: number; remembered: number },
  maxPercent: number | undefined,
): RunFailure | null {
  const percent = percentOf(deletes, remembered);
  if (maxPercent === undefined || percent <= maxPercent) return null;
  return new RunFailure(
    "DELETE_GUARD",
    `The run would delete ${deletes} of ${remembered} rows sent before (${shown(percent)}), and max_delete_percent is ${maxPercent}`,
    "Nothing was sent. Look at the model; if the rows are to be deleted, trigger the sync with --allow-deletes (allow_deletes: true)",
  );
}

/** The failure of a run of which a larger share than `max_rejected_percent` was rejected; null else. */
export function rejectGuard(
  { rejected, planned }: { rejected: number; planned: number },
  maxPercent: number | null,
): RunFailure | null {
  const percent = percentOf(rejected, planned);
  if (maxPercent === null || rejected < MIN_REJECTED_ROWS || percent <= maxPercent) return null;
  return new RunFailure(
    "REJECT_GUARD",
    `The destination rejected ${rejected} of the run's ${planned} rows (${shown(percent)}), and max_rejected_percent is ${maxPercent}`,
    "Rows accepted before stay accepted. Look at why rows were rejected; to go on all the same, trigger the sync with --allow-rejects (allow_rejects: true)",
  );
}
