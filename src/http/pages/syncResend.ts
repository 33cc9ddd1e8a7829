/** What saving a sync on its page makes the next run send again: told first, and saved once the person has seen that. */
import { createHash } from "node:crypto";
import { html } from "hono/html";
import type { CheckedChange } from "../../configuration/objectDesk.ts";
import type { Resend } from "../../engine/resend.ts";
import type { ApiDesk } from "../api/apiDesk.ts";
import { forecastResend, type ResendForecast } from "../resendForecast.ts";
import type { Html } from "./layout.ts";

/** What a person has to know before it is saved. */
export interface ToConfirm {
  /** Stands for this change with these reasons: comes back with the form that confirms it. */
  digest: string;
  resend: ResendForecast["resend"];
}

/** What of a change has to be confirmed, and was not; null when nothing has to. */
export async function resendToConfirm(
  desk: Pick<ApiDesk, "db" | "box">,
  change: CheckedChange,
  confirmed: string,
): Promise<ToConfirm | null> {
  const forecast = await forecastResend(desk, change);
  if (forecast === null) return null;
  const { changes, resend } = forecast;
  // Not the number of rows: runs move it while the person reads.
  const what = JSON.stringify([changes, "reasons" in resend ? resend.reasons : null]);
  const digest = createHash("sha256").update(what).digest("base64url");
  return digest === confirmed ? null : { digest, resend };
}

/** Why a run is a full sync, in words for people. */
export const FULL_SYNC_WORDS: Readonly<Record<Resend["reasons"][number], string>> = {
  first_run: "It has not run before.",
  user_requested: "That was asked for.",
  mapping_added: "A field was added.",
  mapping_changed: "A field is filled from something else, or has another name.",
  sync_key_changed: "The key is another one.",
  operation_changed: "What the sync does is something else.",
  destination_changed: "The destination is another one.",
  state_missing: "What was sent before is not known any more.",
};

const COUNT = new Intl.NumberFormat("en-US");

/** What is told above the form. */
export function resendHtml(toConfirm: ToConfirm | null): Html {
  if (toConfirm === null) return html``;
  const { resend } = toConfirm;
  const { title, reasons } =
    "unknown" in resend
      ? { title: `Rows may be sent again; how many cannot be told now. ${resend.unknown}`, reasons: [] }
      : { title: `${rowsOf(resend.rows)} will be sent again.`, reasons: resend.reasons };
  return html`<div class="note plain" role="alert"><p><strong>${title}</strong></p>
    <p>The next run sends them to the destination although it has accepted them before.
      Nothing is saved yet: save once more at the end of the form, or change it.</p>
    ${reasons.length === 0 ? "" : html`<ul>${reasons.map((reason) => html`<li>${FULL_SYNC_WORDS[reason]}</li>`)}</ul>`}</div>`;
}

function rowsOf(rows: number | null): string {
  if (rows === null) return "All rows";
  return `${COUNT.format(rows)} ${rows === 1 ? "row" : "rows"}`;
}
