/** The forms for destinations, made from the fields of their kinds. */
import type { ConfigurationField } from "../../configuration/configurationFields.ts";
import { DESTINATION_TYPES, type DestinationType } from "../../configuration/destinationTypes.ts";
import { mergeCredentials, STORED_FOR_ANOTHER } from "../../configuration/mergeCredentials.ts";
import type { EntryOf } from "../../configuration/objectDesk.ts";
import { readCredentials } from "../../configuration/readCredentials.ts";
import { type FieldProblem, InvalidInput } from "../../domain/errors.ts";
import { tryDestination } from "../../runtime/trials/connectionTrial.ts";
import { hasCredentials, redactUrl } from "../../security/redact.ts";
import type { ConnectForm, FieldGroup } from "./connectForm.ts";
import { CHOICE_WORDS, DESTINATION_WORDS } from "./destinationWords.ts";
import type { FieldState, FormField } from "./formField.ts";
import type { Submission } from "./submission.ts";

type Entry = EntryOf["destination"];
type Fields = Readonly<Record<string, unknown>>;

/** Shown at once, in rows; the rest unfolds. */
const FIRST: Readonly<Record<DestinationType["type"], readonly string[][]>> = {
  webhook: [["url"], ["auth_token", "auth_token_header"], ["headers"]],
  http_request: [["url"], ["path"], ["method", "payload"], ["headers"], ["url_parameters"]],
};

/** Settings that a form of inputs cannot show; they stay as they are. */
const LEFT_ALONE: ReadonlySet<string> = new Set(["tls", "row_results", "delete_payload"]);

/** Parts of `oauth`, as inputs named `oauth.<part>`. */
const OAUTH: readonly FormField[] = [
  oauthField("token_url"),
  oauthField("client_id"),
  oauthField("client_secret", "secret"),
  oauthField("scopes"),
];

const NAME: FormField = {
  name: "label",
  label: "Name",
  hint: "What people call this destination here.",
  input: "text",
  isRequired: true,
};

/** The form of each kind. */
export const DESTINATION_FORMS: readonly (ConnectForm<"destination"> & { type: string })[] =
  DESTINATION_TYPES.map(formOf);

function formOf(kind: DestinationType): ConnectForm<"destination"> & { type: string } {
  const fields = kind.fields.filter(({ id }) => !LEFT_ALONE.has(id) && id !== "oauth");
  const inputs = new Map(fields.map((field) => [field.id, inputOf(field)]));
  return {
    kind: "destination",
    type: kind.type,
    label: kind.type === "webhook" ? "webhook" : "HTTP API",
    groups: groupsOf(kind, inputs),
    defaults: new Map(fields.map(({ id, defaultValue }) => [id, defaultValue])),
    read(sent, before) {
      const read = readCredentials(kind, sentFields(kind, fields, { sent, before }));
      const fresh = { ...read.given, type: kind.type } as Entry;
      const entry = before === null ? fresh : mergeCredentials(before, read);
      if (before !== null) refuseMovedOauth({ before, entry, sent });
      return { entry, nameOf: (field) => inputName(field, inputs) };
    },
    shown: (before) => shownFields(fields, before),
    tryOut: (entry, { outbound, version }) => tryDestination(entry, { outbound, version }),
  };
}

function groupsOf(kind: DestinationType, inputs: ReadonlyMap<string, FormField>): FieldGroup[] {
  const first = FIRST[kind.type];
  const rowOf = (ids: readonly string[]) => ids.flatMap((id) => inputs.get(id) ?? []);
  const rest = [...inputs.values()].filter(({ name }) => !first.flat().includes(name));
  const isSwitch = ({ input }: FormField) => input === "switch";
  // Ticks beside boxes look crooked.
  const others = [...rest.filter((field) => !isSwitch(field)), ...rest.filter(isSwitch)];
  const pairs = Array.from({ length: Math.ceil(others.length / 2) }, (_, at) =>
    others.slice(2 * at, 2 * at + 2),
  );
  return [
    { title: null, isFolded: false, rows: [[NAME], ...first.map(rowOf)] },
    ...(kind.fields.some(({ id }) => id === "oauth")
      ? [
          {
            title: "Access by OAuth 2.0",
            isFolded: true,
            rows: [OAUTH.slice(0, 1), OAUTH.slice(1, 3), OAUTH.slice(3)],
          },
        ]
      : []),
    { title: "More settings", isFolded: true, rows: pairs },
  ];
}

function inputOf(field: ConfigurationField): FormField {
  const { id, label, types, values, isSecret, isTextMap, isRequired, defaultValue } = field;
  const words = DESTINATION_WORDS[id] ?? {};
  const base = { name: id, label, isRequired, ...words };
  const placeholder = words.placeholder ?? placeholderOf(defaultValue);
  if (values.length > 0)
    return {
      ...base,
      input: "choice",
      choices: values.map((value) => ({ value, label: CHOICE_WORDS[`${id}.${value}`] ?? value })),
    };
  if (types.includes("boolean")) return { ...base, input: "switch" };
  if (isTextMap) return { ...base, input: "pairs" };
  if (isSecret) return { ...base, input: "secret" };
  const isNumber = types.includes("integer") || types.includes("number");
  return { ...base, input: isNumber ? "number" : "text", placeholder };
}

function placeholderOf(value: unknown): string | undefined {
  return value === undefined || value === null || value === "" ? undefined : String(value);
}

/** What the form says, as a client of the API would send it. A secret that is neither typed nor removed is not there. */
function sentFields(
  kind: DestinationType,
  fields: readonly ConfigurationField[],
  { sent, before }: { sent: Submission; before: Entry | null },
): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const { id, types, values, isSecret, isTextMap } of fields) {
    const secret = isTextMap ? sent.pairs(id) : isSecret ? sent.secret(id) : null;
    if (isTextMap || isSecret) {
      if (secret !== null) found[id] = secret;
      else if (sent.isTicked(`drop.${id}`)) found[id] = null;
    } else if (types.includes("boolean")) {
      if (sent.has(`off.${id}`)) found[id] = sent.isTicked(id);
    } else if (sent.has(id) && (values.length === 0 || values.includes(sent.text(id)))) {
      found[id] = sent.text(id);
    }
  }
  const oauth = kind.fields.some(({ id }) => id === "oauth") ? sentOauth(sent, before) : undefined;
  return oauth === undefined ? found : { ...found, oauth };
}

/** Null takes it away; undefined leaves it as it is. */
function sentOauth(sent: Submission, before: Entry | null): Fields | null | undefined {
  const [tokenUrl, clientId, scopes] = ["token_url", "client_id", "scopes"].map((id) =>
    sent.text(`oauth.${id}`),
  );
  const secret = sent.secret("oauth.client_secret");
  if (tokenUrl === "" && clientId === "" && scopes === "" && secret === null)
    return before !== null && "oauth" in before && sent.has("oauth.token_url") ? null : undefined;
  const stored = before !== null && "oauth" in before ? before.oauth : undefined;
  return {
    ...stored,
    token_url: tokenUrl,
    client_id: clientId,
    scopes: (scopes ?? "").split(/\s+/).filter((scope) => scope !== ""),
    ...(secret === null ? {} : { client_secret: secret }),
  };
}

const originOf = (url: unknown): string => URL.parse(String(url))?.origin ?? "";

/** Who has the page could else have what is stored sent to an address of their own. */
function refuseMovedOauth({ before, entry, sent }: { before: Entry; entry: Entry; sent: Submission }): void {
  const faults: FieldProblem[] = [];
  const stored = before as unknown as Fields;
  const [old, now] = [stored["oauth"], (entry as unknown as Fields)["oauth"]] as (Fields | undefined)[];
  const isMoved =
    originOf(old?.["token_url"]) !== originOf(now?.["token_url"]) ||
    originOf(before.url) !== originOf(entry.url);
  if (old !== undefined && now !== undefined && isMoved && sent.secret("oauth.client_secret") === null)
    faults.push({ field: "oauth.client_secret", message: STORED_FOR_ANOTHER });
  if (faults.length > 0) throw new InvalidInput(STORED_FOR_ANOTHER, faults);
}

function inputName(field: string, inputs: ReadonlyMap<string, FormField>): string {
  if (field.startsWith("oauth.")) return field;
  const [first = field] = field.split(/[.[]/);
  return first === "label" || inputs.has(first) ? first : field;
}

function shownFields(fields: readonly ConfigurationField[], before: Fields): Map<string, FieldState> {
  const shown = new Map<string, FieldState>();
  for (const { id, types, isSecret, isTextMap } of fields) {
    const value = before[id];
    if (isSecret || isTextMap) {
      if (value !== undefined) shown.set(id, { kept: { kind: "stored", canDrop: true } });
    } else if (types.includes("boolean")) shown.set(id, { isTicked: value === true });
    else if (id === "url") shown.set(id, { value: shownUrl(String(value)) });
    else if (value === null) shown.set(id, { value: "none" });
    else if (typeof value === "string" || typeof value === "number") shown.set(id, { value: String(value) });
  }
  const oauth = before["oauth"] as Fields | undefined;
  if (oauth !== undefined) {
    for (const part of ["token_url", "client_id"])
      shown.set(`oauth.${part}`, { value: String(oauth[part] ?? "") });
    shown.set("oauth.scopes", { value: ((oauth["scopes"] ?? []) as string[]).join(" ") });
    shown.set("oauth.client_secret", { kept: { kind: "stored", canDrop: false } });
  }
  return shown;
}

/** What stands in a query can be a token; sent back as it is shown, it stays as it is. */
function shownUrl(url: string): string {
  return url.includes("?") || hasCredentials(url) ? redactUrl(url) : url;
}

function oauthField(id: string, input: FormField["input"] = "text"): FormField {
  const name = `oauth.${id}`;
  return { name, input, ...DESTINATION_WORDS[name], label: labelOf(id) };
}

function labelOf(id: string): string {
  const text = id
    .replaceAll("_", " ")
    .replace("url", "URL")
    .replace(/\bid\b/, "ID");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
