/** The page on which a person makes or edits one sync. */
import { html } from "hono/html";
import { KEY_FIELD, METADATA_FIELDS, type Operation } from "../../domain/configuration.ts";
import { type Notice, noticeHtml } from "./connectPage.ts";
import { type Choice, faultHtml, optionsHtml } from "./formField.ts";
import type { Html } from "./layout.ts";
import { FACTS, type MappingRow } from "./mappingRows.ts";
import { DAYS, FREQUENCIES, type SyncState } from "./syncForm.ts";
import { resendHtml, type ToConfirm } from "./syncResend.ts";

/** One showing of the page. */
export interface SyncView {
  title: string;
  workspace: string;
  /** Null where the page was asked not to show it. */
  from: string | null;
  to: string | null;
  /** What travels with the form, such as the chosen object. */
  hidden: Readonly<Record<string, string>>;
  /** Null for a sync that stands: it keeps its own. */
  operations: readonly Operation[] | null;
  /** Of the source, in its order; null when it does not answer. */
  columns: readonly string[] | null;
  state: SyncState;
  faults: ReadonlyMap<string, string>;
  notice: Notice | null;
  /** What saving it makes the next run send again, when the person has yet to agree. */
  toConfirm: ToConfirm | null;
}

const OPERATION_WORDS: Readonly<Record<Operation, string>> = {
  upsert: "Send new and changed rows (upsert)",
  update: "Send changed rows (update)",
  insert: "Send new rows (insert)",
  append: "Send each row once (append)",
  mirror: "Send new, changed and deleted rows (mirror)",
  delete: "Delete the rows there (delete)",
};

/** The page's content. */
export function syncContent(view: SyncView): Html {
  const { title, workspace, from, to, notice, toConfirm } = view;
  const hidden = { ...view.hidden, ...(toConfirm === null ? {} : { confirmed: toConfirm.digest }) };
  return html`<div class="card">
    <h1>${title}</h1>
    <p class="lead">In the workspace <strong>${workspace}</strong>.</p>
    ${noticeHtml(notice)} ${resendHtml(toConfirm)}
    <dl class="facts">
      ${from === null ? "" : html`<dt>From</dt><dd>${from}</dd>`}
      ${to === null ? "" : html`<dt>To</dt><dd>${to}</dd>`}
    </dl>
    <form method="post" autocomplete="off" novalidate>
      <input type="hidden" name="framed" value="">
      ${Object.entries(hidden).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)}
      ${generalHtml(view)} ${scheduleHtml(view)} ${mappingsHtml(view)}
      <div class="actions">
        <button class="main" type="submit" name="action" value="save">${toConfirm === null ? "Save" : "Save, and send again"}</button>
        <button class="quiet framed-only" type="button" data-cancel>Cancel</button>
      </div>
    </form>
  </div>`;
}

interface Input {
  name: string;
  label: string;
  value: string;
  fault: string | undefined;
  hint?: string;
  choices?: readonly Choice[];
  className?: string;
}

function inputHtml({ name, label, value, fault, hint, choices, className = "" }: Input): Html {
  const described = [
    ...(fault === undefined ? [] : [`e-${name}`]),
    ...(hint === undefined ? [] : [`h-${name}`]),
  ];
  const more = html`${fault === undefined ? "" : html` aria-invalid="true"`}${
    described.length === 0 ? "" : html` aria-describedby="${described.join(" ")}"`
  }`;
  return html`<div class="field ${className}"><label for="f-${name}">${label}</label>
    ${
      choices === undefined
        ? html`<input id="f-${name}" name="${name}" type="text" value="${value}" spellcheck="false"${more}>`
        : html`<select id="f-${name}" name="${name}"${more}>${optionsHtml(choices, value)}</select>`
    }
    ${hint === undefined ? "" : html`<p class="hint" id="h-${name}">${hint}</p>`} ${faultHtml(name, fault)}</div>`;
}

function tickHtml(name: string, label: string, isTicked: boolean, hint: string): Html {
  return html`<div class="check"><input id="f-${name}" name="${name}" type="checkbox" value="1"${isTicked ? html` checked` : ""} aria-describedby="h-${name}">
    <div><label for="f-${name}">${label}</label><p class="hint" id="h-${name}">${hint}</p></div></div>`;
}

function generalHtml({ state, faults, operations }: SyncView): Html {
  const { label, operation, isPaused } = state;
  const choices = operations?.map((value) => ({ value, label: OPERATION_WORDS[value] }));
  return html`
    ${inputHtml({ name: "label", label: "Name", value: label, fault: faults.get("label") })}
    ${
      choices === undefined
        ? html`<input type="hidden" name="operation" value="${operation}">`
        : inputHtml({
            name: "operation",
            label: "What it does",
            value: operation,
            choices,
            fault: faults.get("operation"),
          })
    }
    ${tickHtml("paused", "Paused", isPaused, "Schedules and other triggers start nothing.")}`;
}

function scheduleHtml({ state, faults }: SyncView): Html {
  const frequencies = Object.entries(FREQUENCIES).map(([value, label]) => ({ value, label }));
  const days = DAYS.map((value) => ({ value, label: value }));
  const { frequency, day, hour, minute, cron } = state;
  return html`<fieldset class="section schedule"><legend>When it runs</legend>
    ${inputHtml({ name: "frequency", label: "How often", value: frequency, choices: frequencies, fault: faults.get("frequency") })}
    <div class="row three">
      ${inputHtml({ name: "day", label: "Day", value: day, choices: days, fault: faults.get("day"), className: "on-day" })}
      ${inputHtml({ name: "hour", label: "Hour (UTC)", value: hour, fault: faults.get("hour"), className: "on-hour" })}
      ${inputHtml({ name: "minute", label: "Minute", value: minute, fault: faults.get("minute"), className: "on-minute" })}
    </div>
    ${inputHtml({
      name: "cron_expression",
      label: "Cron expression",
      value: cron,
      hint: "Minute, hour, day of month, month, day of week; UTC.",
      fault: faults.get("cron_expression"),
      className: "on-cron",
    })}
  </fieldset>`;
}

function mappingsHtml(view: SyncView): Html {
  const { state, columns, faults } = view;
  const keyChoices = columns?.map((name) => ({ value: name, label: name }));
  const isKnown = keyChoices?.some(({ value }) => value === state.key) ?? true;
  const choices = isKnown ? keyChoices : [{ value: state.key, label: state.key }, ...(keyChoices ?? [])];
  return html`<fieldset class="section"><legend>What is sent</legend>
    ${inputHtml({
      name: "key",
      label: "Key",
      value: state.key,
      hint: `The column that tells rows apart. It travels as ${KEY_FIELD}.`,
      fault: faults.get("key"),
      ...(choices === undefined ? {} : { choices }),
    })}
    <input type="hidden" name="map.count" value="${state.rows.length}">
    <table class="map">
      <thead><tr><th scope="col">Filled from</th><th class="arrow"><span class="sr">to</span></th><th scope="col">Field there</th><th scope="col">Leave out</th></tr></thead>
      <tbody>${state.rows.map((row, at) => rowHtml(row, at, view))}</tbody>
    </table>
    ${faultHtml("mappings", faults.get("mappings"))}
    <button class="small" type="submit" name="action" value="add">Add rows</button>
    <div class="section">${tickHtml(
      "field_behavior",
      "Send every other column as well",
      state.sendsEverything,
      "Under its own name; columns that are added later, too.",
    )}</div>
  </fieldset>`;
}

function rowHtml(row: MappingRow, at: number, { columns, faults }: SyncView): Html {
  const name = `map.${at}`;
  const fault = faults.get(name);
  const described = fault === undefined ? "" : html` aria-invalid="true" aria-describedby="e-${name}"`;
  const label = `row ${at + 1}`;
  return html`<tr>
    <td class="from"><label class="sr" for="f-${name}.from">Filled from, ${label}</label>
      <select id="f-${name}.from" name="${name}.from"${described}>${fromOptions(row.from, columns)}</select>
      <input type="hidden" name="${name}.was" value="${row.was}">
      <div class="text"><label class="sr" for="f-${name}.value">Value or template, ${label}</label>
      <input class="value" id="f-${name}.value" name="${name}.value" value="${row.value}" placeholder="Value, or template such as {{ record['email'] | downcase }}" spellcheck="false"></div>
      ${faultHtml(name, fault)}</td>
    <td class="arrow" aria-hidden="true">→</td>
    <td><label class="sr" for="f-${name}.to">Field there, ${label}</label>
      <input id="f-${name}.to" name="${name}.to" value="${row.to}" spellcheck="false" placeholder="as the column"></td>
    <td><label class="drop"><input type="checkbox" name="${name}.drop" value="1"${row.isDropped ? html` checked` : ""}><span class="sr">Leave out ${label}</span></label></td>
  </tr>`;
}

function fromOptions(from: string, columns: readonly string[] | null): Html {
  const known = (columns ?? []).map((name) => ({ value: `column:${name}`, label: name }));
  const isGone = from.startsWith("column:") && !known.some(({ value }) => value === from);
  const gone = isGone ? [{ value: from, label: from.slice("column:".length) }] : [];
  const facts = METADATA_FIELDS.map((fact) => ({ value: `metadata:${fact}`, label: FACTS[fact] }));
  const others = [
    { value: "constant", label: "A fixed text" },
    { value: "template", label: "A template over columns" },
  ];
  return html`<option value="">Choose…</option>
    <optgroup label="Columns">${optionsHtml([...gone, ...known], from)}</optgroup>
    <optgroup label="Other">${optionsHtml([...others, ...facts], from)}</optgroup>`;
}
