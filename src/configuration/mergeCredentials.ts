/** Changes the credentials of a destination by what a client sent: what is left out stays, secrets above all. */
import { InvalidInput } from "../domain/errors.ts";
import { redactUrl } from "../security/redact.ts";
import type { EntryOf } from "./objectDesk.ts";
import type { ReadCredentials } from "./readCredentials.ts";

type Entry = EntryOf["destination"];
type Fields = Record<string, unknown>;

/** What stands in the place of a secret that is shown as being set; sent back, it means the secret as it is. */
export const HIDDEN_SECRET = "***";

/** Said of a stored secret that would go elsewhere. */
export const STORED_FOR_ANOTHER =
  "The address changed: enter this again. What is stored goes only to the address that it was stored for.";

/** Fields that are sent with a request as they are; a signing secret never leaves us. */
const SENT_SECRETS = ["auth_token", "headers", "url_parameters"] as const;

/**
 * The entry with the given fields in it and the cleared ones at what holds without them.
 * @throws InvalidInput when a secret that was stored for one server would go to another: who may change an address may
 * not read secrets, and could otherwise have them sent to a server of their own (ours).
 */
export function mergeCredentials(entry: Entry, { given, cleared }: ReadCredentials): Entry {
  const before: Fields = { ...entry };
  const merged: Fields = { ...entry };
  for (const field of cleared) delete merged[field];
  for (const [field, value] of Object.entries(given)) merged[field] = asItStands(merged[field], value);
  const isMoved = originOf(before["url"]) !== originOf(merged["url"]);
  const stale = isMoved ? SENT_SECRETS.filter((field) => isKept(before[field], merged[field])) : [];
  const isOauthMoved = isKeptForAnotherServer(before["oauth"], merged["oauth"]);
  const faulty = [...stale, ...(isOauthMoved ? ["oauth.client_secret"] : [])];
  if (faulty.length > 0) {
    throw new InvalidInput(
      STORED_FOR_ANOTHER,
      faulty.map((field) => ({ field, message: STORED_FOR_ANOTHER })),
    );
  }
  return merged as Entry;
}

function originOf(url: unknown): string | null {
  return typeof url === "string" ? (URL.parse(url)?.origin ?? null) : null;
}

/** Whether anything of a stored secret is still there. */
function isKept(before: unknown, after: unknown): boolean {
  if (before === undefined || after === undefined) return false;
  if (!isMap(before) || !isMap(after)) return before === after;
  return Object.entries(before).some(([name, value]) => after[name] === value);
}

function isKeptForAnotherServer(before: unknown, after: unknown): boolean {
  if (!isMap(before) || !isMap(after)) return false;
  if (originOf(before["token_url"]) === originOf(after["token_url"])) return false;
  return isKept(before["client_secret"], after["client_secret"]);
}

/** What is sent back as it was shown stays as it is: hidden secrets, and addresses without the values of their query. */
function asItStands(before: unknown, sent: unknown): unknown {
  if (typeof sent === "string" && typeof before === "string") {
    const isShown =
      sent === HIDDEN_SECRET || (sent !== before && before.includes("?") && sent === redactUrl(before));
    return isShown ? before : sent;
  }
  if (!isMap(sent) || !isMap(before)) return sent;
  const merged = Object.fromEntries(
    Object.entries(sent).map(([name, value]) => [name, asItStands(before[name], value)]),
  );
  // Access by OAuth is shown without its secret by those who made it so.
  const kept = before["client_secret"];
  return kept === undefined || merged["client_secret"] !== undefined
    ? merged
    : { ...merged, client_secret: kept };
}

function isMap(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
