/** What `egret apply` would do, and what it did, in words. */
import type { Applied } from "../configuration/apply.ts";
import type { Change, FieldChange } from "../configuration/configItem.ts";
import type { Plan } from "../configuration/plan.ts";
import type { TestedDestination } from "../runtime/trials/connectionTest.ts";
import type { ConfiguredIds } from "./applyFile.ts";
import { counted, dayAndTime } from "./format.ts";
import type { Resend } from "./resends.ts";
import { paint } from "./terminal.ts";

const MAX_VALUE_LETTERS = 60;

/** One line per object that changes, with its fields below; then the counts. */
export function planLines(changes: readonly Change[]): string[] {
  const lines: string[] = [];
  for (const { action, kind, name, fields, takesOver } of changes) {
    const title = `${kind} ${name}${takesOver === true ? " (made through the API: the file takes it over)" : ""}`;
    if (action === "create") lines.push(paint("green", `+ ${title}`));
    if (action === "delete") lines.push(paint("red", `- ${title}`));
    if (action === "update")
      lines.push(paint("yellow", `~ ${title}`), ...fields.map((field) => `    ${fieldLine(field)}`));
  }
  const number = (action: Change["action"]) => changes.filter((change) => change.action === action).length;
  const unchanged = `${number("unchanged")} unchanged`;
  if (lines.length === 0) return [`Nothing to do: ${unchanged}.`];
  const counts = `${number("create")} to create, ${number("update")} to change, ${number("delete")} to delete`;
  return [...lines, `Plan: ${counts}, ${unchanged}.`];
}

/** Webhooks that the file would have enabled and that stay disabled, each with the way to switch it on again. */
export function staysDisabledLines(webhooks: Plan["staysDisabled"]): string[] {
  return webhooks.map(({ name, at, reason }) => {
    const text = `webhook ${name} was disabled (${reason}) at ${dayAndTime(at)} and stays so`;
    return `${paint("yellow", "!")} ${text}; to switch it on: egret webhook enable ${name}`;
  });
}

/** What the next runs send again because of the changes, and how to see more of it before. */
export function resendLines(resends: readonly Resend[]): string[] {
  return resends.map(({ sync, reasons, rows }) => {
    const what =
      rows === null ? "all rows" : `${counted(rows, "row")} that the destination has accepted before`;
    return `${paint("yellow", "!")} sync ${sync}: the next run is a full sync (${reasons.join(", ")}) and sends ${what} again`;
  });
}

function fieldLine(change: FieldChange): string {
  if (change.secret) return `${change.field}: (secret, changed)`;
  return `${change.field}: ${shown(change.before)} -> ${shown(change.after)}`;
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return "(none)";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > MAX_VALUE_LETTERS ? `${line.slice(0, MAX_VALUE_LETTERS)}…` : line;
}

/** The secrets that exist from now on and are shown this once. */
export function secretLines(secrets: Applied["webhookSecrets"]): string[] {
  if (secrets.length === 0) return [];
  return [
    "",
    paint(
      ["bold", "yellow"],
      "New webhook secrets. They are shown this once; keep them where the receivers can read them:",
    ),
    ...secrets.map(({ name, secret }) => `  ${name}: ${secret}`),
  ];
}

/** Ids that subjects and other commands use. */
export function idLines(ids: ConfiguredIds): string[] {
  const list = (named: readonly { id: number; name: string }[]) =>
    named.length === 0 ? "none" : named.map(({ id, name }) => `${name} = ${id}`).join(", ");
  return [
    "",
    `Ids: workspace = ${ids.workspaceId}; syncs: ${list(ids.syncs)}; webhooks: ${list(ids.webhooks)}`,
  ];
}

/** What the connection tests said. */
export function testLines(tested: readonly TestedDestination[]): string[] {
  return tested.map(({ name, ok, message }) =>
    ok
      ? `${paint("green", "✓")} destination ${name} answers`
      : `${paint("yellow", "!")} destination ${name} failed its connection test: ${message} Runs to it may fail; test it again with: egret destination test ${name}`,
  );
}
