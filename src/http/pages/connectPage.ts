/** The page on which a person enters the credentials of a source or destination, tries them and saves them. */
import { html } from "hono/html";
import type { ConnectForm, FieldGroup } from "./connectForm.ts";
import { type FieldState, type FormField, fieldHtml } from "./formField.ts";
import type { Html } from "./layout.ts";
import type { Submission } from "./submission.ts";

/** What stands above the form. */
export interface Notice {
  isGood: boolean;
  text: string;
  details?: readonly string[];
}

/** One showing of the page. */
export interface ConnectView {
  form: Pick<ConnectForm<"source" | "destination">, "kind" | "label" | "groups">;
  workspace: string;
  /** Name of the one whose credentials are entered again; null for a new one. */
  existing: string | null;
  states: ReadonlyMap<string, FieldState>;
  notice: Notice | null;
}

/** Title of the page. */
export function connectTitle({ form, existing }: Pick<ConnectView, "form" | "existing">): string {
  return existing === null ? `Connect ${articleFor(form.label)} ${form.label}` : `Update ${existing}`;
}

const articleFor = (words: string): string => (/^[aeiou]|^HTTP/i.test(words) ? "an" : "a");

/** The page's content. */
export function connectContent(view: ConnectView): Html {
  const { form, workspace, existing, states, notice } = view;
  const does = form.kind === "source" ? "reads from" : "sends rows to";
  const lead =
    existing === null
      ? html`The workspace <strong>${workspace}</strong> ${does} what you connect here.`
      : html`The workspace <strong>${workspace}</strong> ${does} it. What is stored stays until you save.`;
  return html`<div class="card">
    <h1>${connectTitle(view)}</h1>
    <p class="lead">${lead} Secrets are encrypted, and never shown again.</p>
    ${noticeHtml(notice)}
    <form method="post" autocomplete="off" novalidate>
      <input type="hidden" name="framed" value="">
      ${form.groups.map((group) => groupHtml(group, states))}
      <div class="actions">
        <button class="main" type="submit" name="action" value="save">Save</button>
        <button type="submit" name="action" value="test">Test the connection</button>
        <button class="quiet framed-only" type="button" data-cancel>Cancel</button>
      </div>
    </form>
  </div>`;
}

/** What happened, above the form. */
export function noticeHtml(notice: Notice | null): Html {
  if (notice === null) return html``;
  const { isGood, text, details = [] } = notice;
  return html`<div class="note ${isGood ? "good" : "bad"}" role="${isGood ? "status" : "alert"}"><p>${text}</p>
    ${details.length === 0 ? "" : html`<ul>${details.map((detail) => html`<li>${detail}</li>`)}</ul>`}</div>`;
}

function groupHtml({ title, isFolded, rows }: FieldGroup, states: ReadonlyMap<string, FieldState>): Html {
  const content = rows.map((row) => rowHtml(row, states));
  if (!isFolded) return html`<div>${content}</div>`;
  const isOpen = rows.flat().some(({ name }) => states.get(name)?.fault !== undefined);
  return html`<details class="more"${isOpen ? html` open` : ""}><summary>${title}</summary>${content}</details>`;
}

function rowHtml(row: readonly FormField[], states: ReadonlyMap<string, FieldState>): Html {
  const fields = row.map((field) => fieldHtml(field, states.get(field.name) ?? {}));
  if (row.length === 1) return html`${fields}`;
  const shape = row.some(({ name }) => name === "port") ? "host" : "two";
  return html`<div class="row ${shape}">${fields}</div>`;
}

/** What the form shows after it was sent: texts as they were typed, secrets as kept. */
export function statesOf(
  groups: readonly FieldGroup[],
  { sent, stored }: { sent: Submission; stored: ReadonlyMap<string, FieldState> },
): Map<string, FieldState> {
  const states = new Map<string, FieldState>();
  for (const field of groups.flatMap(({ rows }) => rows.flat())) {
    const { name, input } = field;
    if (input === "secret" || input === "pairs") {
      const typed = input === "pairs" ? sent.pairs(name) : sent.secret(name);
      const kept =
        typed === null
          ? stored.get(name)?.kept
          : ({ kind: "typed", draft: sent.sealed(name, typed) } as const);
      states.set(name, { kept, isDropped: sent.isTicked(`drop.${name}`) });
    } else if (input === "switch") states.set(name, { isTicked: sent.isTicked(name) });
    else states.set(name, { value: sent.text(name) });
  }
  return states;
}

/** What a new form shows: the choices and ticks that hold when nothing is changed. */
export function firstStates(
  groups: readonly FieldGroup[],
  defaults: ReadonlyMap<string, unknown>,
): Map<string, FieldState> {
  const states = new Map<string, FieldState>();
  for (const { name, input } of groups.flatMap(({ rows }) => rows.flat())) {
    const value = defaults.get(name);
    if (input === "switch") states.set(name, { isTicked: value === true });
    if (input === "choice" && typeof value === "string") states.set(name, { value });
  }
  return states;
}

/** Puts faults to their fields; those of no field are told above the form. */
export function withFaults(
  states: Map<string, FieldState>,
  groups: readonly FieldGroup[],
  problems: readonly { field: string; message: string }[],
): string[] {
  const known = new Set(groups.flatMap(({ rows }) => rows.flat().map(({ name }) => name)));
  const others: string[] = [];
  for (const { field, message } of problems) {
    if (!known.has(field)) others.push(field === "" ? message : `${field}: ${message}`);
    else states.set(field, { ...states.get(field), fault: message });
  }
  return others;
}
