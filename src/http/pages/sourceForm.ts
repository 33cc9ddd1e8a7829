/** The form for a Postgres source. */

import { STORED_FOR_ANOTHER } from "../../configuration/mergeCredentials.ts";
import type { EntryOf } from "../../configuration/objectDesk.ts";
import {
  type CredentialField,
  connectionDetails,
  POSTGRES_FIELDS,
  sourceUrl,
} from "../../configuration/sourceCredentials.ts";
import { InvalidInput } from "../../domain/errors.ts";
import { trySource } from "../../runtime/trials/connectionTrial.ts";
import type { ConnectForm, FieldGroup } from "./connectForm.ts";
import type { FieldState, FormField } from "./formField.ts";

type Entry = EntryOf["source"];

const LABELS: Partial<Record<CredentialField["id"], string>> = { hostname: "Host", sslmode: "Encryption" };
const HINTS: Partial<Record<CredentialField["id"], string>> = {
  user: "A role that may read what is to be sent, and nothing else, is best.",
};

/** The driver checks certificates with every other mode than these. */
const SSL_CHOICES = [
  { value: "require", label: "Encrypted, certificate checked" },
  { value: "no-verify", label: "Encrypted, certificate not checked" },
  { value: "disable", label: "Not encrypted" },
];

const [hostname, port, database, user, password, sslmode] = (
  ["hostname", "port", "database", "user", "password", "sslmode"] as const
).map(fieldOf) as [FormField, FormField, FormField, FormField, FormField, FormField];

const name: FormField = {
  name: "label",
  label: "Name",
  hint: "What people call this database here.",
  input: "text",
  isRequired: true,
  placeholder: "Warehouse",
};

const groups: readonly FieldGroup[] = [
  { title: null, isFolded: false, rows: [[name], [hostname, port], [database], [user, password], [sslmode]] },
  {
    title: "More settings",
    isFolded: true,
    rows: [
      [
        {
          name: "sync_engine",
          label: "Where is kept what was sent",
          hint: "In this database it needs a schema in which the role may write; then only changed rows travel.",
          input: "choice",
          choices: [
            { value: "basic", label: "In Egret: the database is only read" },
            { value: "advanced", label: "In a schema of this database" },
          ],
        },
        {
          name: "state_schema",
          label: "Schema for that",
          hint: "Only with the second choice; egret when left empty.",
          input: "text",
          placeholder: "egret",
        },
      ],
    ],
  },
];

/** The form. */
export const postgresForm: ConnectForm<"source"> = {
  kind: "source",
  label: "Postgres database",
  groups,
  defaults: new Map([
    ["sslmode", "require"],
    ["sync_engine", "basic"],
  ]),
  read(sent, before) {
    const credentials = Object.fromEntries(
      (["hostname", "port", "database", "user", "sslmode"] as const).map((id) => [id, sent.text(id)]),
    );
    const typed = sent.secret("password");
    const url = sourceUrl(
      { ...credentials, ...(typed === null ? {} : { password: typed }) },
      before?.url ?? null,
    );
    if (before !== null && typed === null) refuseMovedPassword(before.url, url);
    const engine = sent.text("sync_engine");
    const schema = sent.text("state_schema");
    const entry: Entry = {
      type: "postgres",
      url,
      ...(engine === "advanced"
        ? { sync_engine: "advanced", ...(schema === "" ? {} : { state_schema: schema }) }
        : { sync_engine: "basic" }),
    };
    return { entry, nameOf: (field) => (field === "url" ? "hostname" : field) };
  },
  shown(before) {
    const shown = new Map<string, FieldState>();
    for (const [id, value] of Object.entries(connectionDetails(before.url)))
      shown.set(id, { value: String(value) });
    if (new URL(before.url).password !== "")
      shown.set("password", { kept: { kind: "stored", canDrop: false } });
    shown.set("sync_engine", { value: before.sync_engine ?? "basic" });
    shown.set("state_schema", { value: before.state_schema });
    return shown;
  },
  tryOut: (entry) => trySource(entry),
};

/** A password is for the server that it was entered for: whoever has the page could else have it sent to their own. */
function refuseMovedPassword(before: string, after: string): void {
  const [old, now] = [new URL(before), new URL(after)];
  const sslOf = (url: URL) => url.searchParams.get("sslmode");
  if (old.password === "" || (old.host === now.host && sslOf(old) === sslOf(now))) return;
  throw new InvalidInput(STORED_FOR_ANOTHER, [{ field: "password", message: STORED_FOR_ANOTHER }]);
}

function fieldOf(id: CredentialField["id"]): FormField {
  const field = POSTGRES_FIELDS.find((each) => each.id === id);
  if (field === undefined) throw new Error(`no field ${id}`);
  const { label, isRequired, isSecret, placeholder, values } = field;
  return {
    name: id,
    label: LABELS[id] ?? label,
    hint: HINTS[id],
    input: isSecret ? "secret" : values.length > 0 ? "choice" : id === "port" ? "number" : "text",
    isRequired,
    placeholder: placeholder ?? undefined,
    ...(values.length > 0 ? { choices: SSL_CHOICES } : {}),
  };
}
