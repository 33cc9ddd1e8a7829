/** What a change of a sync makes its next run send again: for the page, which asks first, and for the API, which tells. */
import { loudChanges } from "../configuration/objectChecks.ts";
import type { CheckedChange } from "../configuration/objectDesk.ts";
import { readSync } from "../configuration/store.ts";
import { wantedSync } from "../configuration/wantedSync.ts";
import { RunFailure } from "../domain/errors.ts";
import { type Resend, resendOf } from "../engine/resend.ts";
import { ASKED_BY_API } from "../runtime/sourceRefresh.ts";
import type { ApiDesk } from "./api/apiDesk.ts";

/** Rows that were accepted and are sent again, because of these changes. */
export interface ResendForecast {
  changes: ReturnType<typeof loudChanges>;
  /** `unknown`: why it cannot be told, as when the source does not answer. */
  resend: Resend | { unknown: string };
}

/** Null when nothing is sent again; the source is asked only about what can change that. */
export async function forecastResend(
  { db, box }: Pick<ApiDesk, "db" | "box">,
  { before, after, items }: CheckedChange,
): Promise<ResendForecast | null> {
  const changes = loudChanges(before, after);
  const stored = changes.length === 0 ? null : await readSync(db, box, before.id);
  if (stored === null) return null;
  const wanted = await wantedSync(db, items, stored);
  const resend = await resendOf(db, wanted, ASKED_BY_API).catch((error: unknown) => {
    if (!(error instanceof RunFailure)) throw error;
    return { unknown: error.message };
  });
  return resend === null || ("rows" in resend && resend.rows === 0) ? null : { changes, resend };
}
