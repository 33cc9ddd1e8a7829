/** One input of a form with its label, hint and fault, as HTML that works without script. */
import { html } from "hono/html";
import type { Html } from "./layout.ts";

/** What a person fills in. */
export interface FormField {
  name: string;
  label: string;
  hint?: string | undefined;
  /** `secret` is never shown again; `pairs` are names with secret values; `lines` is a list, one a line. */
  input: "text" | "secret" | "number" | "choice" | "switch" | "pairs" | "lines";
  isRequired?: boolean;
  choices?: readonly Choice[];
  placeholder?: string | undefined;
  /** For a person's browser, such as `off` or `username`. */
  autocomplete?: string;
}

/** One of several values. */
export interface Choice {
  value: string;
  label: string;
}

/** What stands in the field, and what is wrong with it. */
export interface FieldState {
  /** Never set of a secret. */
  value?: string | undefined;
  isTicked?: boolean;
  fault?: string | undefined;
  /** Of a secret: `stored` with the object, or `typed` on this page before, in which case `draft` is it, sealed. */
  kept?: { kind: "stored"; canDrop: boolean } | { kind: "typed"; draft: string } | undefined;
  /** Of a stored secret: it is to be removed. */
  isDropped?: boolean;
}

/** Rows of `pairs`. */
const PAIR_ROWS = 3;

/** The field as HTML. */
export function fieldHtml(field: FormField, state: FieldState): Html {
  if (field.input === "switch") return switchHtml(field, state);
  if (field.input === "pairs") return pairsHtml(field, state);
  const optional = field.isRequired === true ? "" : html` <span class="optional">(optional)</span>`;
  const isChoice = field.input === "choice";
  return html`<div class="field">
    <label for="f-${field.name}">${field.label}${isChoice ? "" : optional}</label>
    ${inputHtml(field, state)} ${keptHtml(field, state)} ${hintHtml(field)} ${faultHtml(field.name, state.fault)}
  </div>`;
}

function inputHtml(field: FormField, { value = "", fault, kept }: FieldState): Html {
  const { name, input, isRequired = false, placeholder = "", choices = [] } = field;
  const described = describedBy(field, fault);
  const invalid = fault === undefined ? "" : html` aria-invalid="true"`;
  if (input === "choice") {
    // What stands may be more than the form offers, such as a template: choosing nothing leaves it.
    const isOther = !choices.some((choice) => choice.value === value);
    const asItIs = { value, label: value === "" ? "As it is" : `As it is: ${value}` };
    return html`<select id="f-${name}" name="${name}"${invalid}${described}>
      ${optionsHtml(isOther ? [asItIs, ...choices] : choices, value)}
    </select>`;
  }
  if (input === "lines")
    return html`<textarea id="f-${name}" name="${name}" placeholder="${placeholder}"${invalid}${described}>${value}</textarea>`;
  const isSecret = input === "secret";
  const required = isRequired && kept === undefined ? html` required` : "";
  const autocomplete = isSecret ? "new-password" : (field.autocomplete ?? "off");
  return html`<input id="f-${name}" name="${name}" type="${isSecret ? "password" : "text"}" value="${isSecret ? "" : value}"
    placeholder="${kept === undefined ? placeholder : "••••••••"}" autocomplete="${autocomplete}" spellcheck="false" autocapitalize="none"
    ${input === "number" ? html`inputmode="numeric"` : ""}${required}${invalid}${described}>`;
}

function keptHtml({ name, label, input }: FormField, { kept, isDropped = false }: FieldState): Html {
  if (kept === undefined) return html``;
  const rest = input === "pairs" ? "What you enter takes the place of all of them." : "";
  if (kept.kind === "typed") {
    return html`<p class="hint">Kept as you typed it. ${rest}</p>
      <input type="hidden" name="draft.${name}" value="${kept.draft}">`;
  }
  const drop = html`<label><input type="checkbox" name="drop.${name}" value="1"${isDropped ? html` checked` : ""}>
    Remove it<span class="sr">: ${label}</span></label>`;
  return html`<p class="kept"><span>Stored; leave this empty to keep it. ${rest}</span> ${kept.canDrop ? drop : ""}</p>`;
}

function switchHtml(field: FormField, { isTicked = false, fault }: FieldState): Html {
  const { name, label } = field;
  return html`<div class="check">
    <input type="hidden" name="off.${name}" value="1">
    <input id="f-${name}" name="${name}" type="checkbox" value="true"${isTicked ? html` checked` : ""}${describedBy(field, fault)}>
    <div><label for="f-${name}">${label}</label>${hintHtml(field)} ${faultHtml(name, fault)}</div>
  </div>`;
}

function pairsHtml(field: FormField, state: FieldState): Html {
  const { name, label } = field;
  const { fault } = state;
  return html`<fieldset class="field"${describedBy(field, fault)}>
    <legend class="label">${label} <span class="optional">(optional)</span></legend>
    ${Array.from(
      { length: PAIR_ROWS },
      (_, at) => html`<div class="row two pair">
      <div class="field"><label class="sr" for="f-${name}-${at}">Name ${at + 1} of ${label}</label>
        <input id="f-${name}-${at}" name="${name}.name" type="text" placeholder="Name" autocomplete="off" spellcheck="false" autocapitalize="none"></div>
      <div class="field"><label class="sr" for="f-${name}-${at}-value">Value ${at + 1} of ${label}</label>
        <input id="f-${name}-${at}-value" name="${name}.value" type="password" placeholder="Value" autocomplete="new-password"></div>
    </div>`,
    )}
    ${keptHtml(field, state)} ${hintHtml(field)} ${faultHtml(name, fault)}
  </fieldset>`;
}

function hintHtml({ name, hint }: FormField): Html {
  return hint === undefined || hint === "" ? html`` : html`<p class="hint" id="h-${name}">${hint}</p>`;
}

/** The options of a choice. */
export function optionsHtml(choices: readonly Choice[], value: string): Html {
  return html`${choices.map(
    (choice) =>
      html`<option value="${choice.value}"${choice.value === value ? html` selected` : ""}>${choice.label}</option>`,
  )}`;
}

/** What is wrong with a field, as an element that its input names. */
export function faultHtml(name: string, fault: string | undefined): Html {
  return fault === undefined ? html`` : html`<p class="fault" id="e-${name}">${fault}</p>`;
}

function describedBy({ name, hint }: FormField, fault: string | undefined): Html {
  const ids = [
    ...(fault === undefined ? [] : [`e-${name}`]),
    ...(hint === undefined || hint === "" ? [] : [`h-${name}`]),
  ];
  return ids.length === 0 ? html`` : html` aria-describedby="${ids.join(" ")}"`;
}
