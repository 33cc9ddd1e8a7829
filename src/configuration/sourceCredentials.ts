/** The address of a Postgres source from the separate fields that clients of the API send, and back without secrets. */
import type { FieldProblem } from "../domain/errors.ts";
import { STORED_FOR_ANOTHER } from "./mergeCredentials.ts";
import { invalidObject, textFaults } from "./objectProblems.ts";

/** Credentials as clients send them: numbers and truth values may stand for texts, "" and null for nothing. */
export type SentCredentials = Readonly<Record<string, unknown>>;

/** One field, for GET /source_types. */
export interface CredentialField {
  id: "hostname" | "port" | "database" | "user" | "password" | "sslmode";
  label: string;
  description: string;
  isRequired: boolean;
  isSecret: boolean;
  placeholder: string | null;
  values: readonly string[];
}

/** What the driver knows; `require` checks the certificate like verify-full. */
const SSL_MODES = ["disable", "prefer", "require", "verify-ca", "verify-full", "no-verify"] as const;

/** What the credentials of a Postgres source hold (behaviour.md 1.3). */
export const POSTGRES_FIELDS: readonly CredentialField[] = [
  {
    id: "hostname",
    label: "Hostname",
    description: "name or address of the server",
    isRequired: true,
    isSecret: false,
    placeholder: "db.example.com",
    values: [],
  },
  {
    id: "port",
    label: "Port",
    description: "5432 when left out",
    isRequired: false,
    isSecret: false,
    placeholder: "5432",
    values: [],
  },
  {
    id: "database",
    label: "Database",
    description: "name of the database",
    isRequired: true,
    isSecret: false,
    placeholder: null,
    values: [],
  },
  {
    id: "user",
    label: "User",
    description: "role that reads",
    isRequired: true,
    isSecret: false,
    placeholder: "egret",
    values: [],
  },
  {
    id: "password",
    label: "Password",
    description: "of that role; left out in a change, it stays",
    isRequired: false,
    isSecret: true,
    placeholder: null,
    values: [],
  },
  {
    id: "sslmode",
    label: "SSL mode",
    description: "how the connection is encrypted; left out: not at all",
    isRequired: false,
    isSecret: false,
    placeholder: null,
    values: SSL_MODES,
  },
];

const ALIASES: Readonly<Record<string, CredentialField["id"]>> = {
  host: "hostname",
  username: "user",
  dbname: "database",
};

type Parts = Partial<Record<CredentialField["id"], string>>;

/**
 * The address that the credentials make, over the one that stands: what is left out stays. `url` gives all at once.
 * @throws InvalidInput with every fault, by the names of the credentials.
 */
export function sourceUrl(sent: SentCredentials, before: string | null): string {
  const faults: FieldProblem[] = [];
  const given: Record<string, string> = {};
  for (const [name, value] of Object.entries(sent)) {
    const field = ALIASES[name] ?? name;
    if (field !== "url" && POSTGRES_FIELDS.every(({ id }) => id !== field)) continue;
    const text = textOf(value);
    if (text === undefined) faults.push({ field: name, message: "Must be a text." });
    else if (text !== "") {
      given[field] = text;
      faults.push(...textFaults(text, name));
    }
  }
  if (faults.length > 0) throw invalidObject(faults);
  if (before !== null && Object.keys(given).length === 0) return before;
  const { url, ...fields } = given;
  if (url !== undefined) faults.push(...urlFaults(url));
  const base = url ?? before;
  const parts: Parts = { ...(base === null || faults.length > 0 ? {} : partsOf(base)), ...fields };
  if (
    before !== null &&
    url === undefined &&
    isMoved(partsOf(before), parts) &&
    fields["password"] === undefined
  )
    faults.push({ field: "password", message: STORED_FOR_ANOTHER });
  faults.push(...(url === undefined || faults.length === 0 ? partFaults(parts) : []));
  if (faults.length > 0) throw invalidObject(faults);
  return composed(parts, base);
}

/** Who may change an address may not read the password, and could otherwise have it sent to a server of their own (ours). */
function isMoved(before: Parts, after: Parts): boolean {
  const { hostname, port, password = "" } = before;
  return password !== "" && (hostname !== after.hostname || port !== (after.port ?? "5432"));
}

/** What may be shown of an address. */
export function connectionDetails(url: string): Record<string, string | number> {
  const { password: _, port, ...shown } = partsOf(url);
  return { ...shown, port: Number(port) };
}

/** Clients that read each text as JSON first send 5432 for "5432", and true for "true". */
function textOf(value: unknown): string | undefined {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

function partsOf(url: string): Parts {
  const parsed = new URL(url);
  const sslmode = parsed.searchParams.get("sslmode");
  return {
    hostname: parsed.hostname,
    port: parsed.port === "" ? "5432" : parsed.port,
    database: decoded(parsed.pathname.slice(1), decodeURI),
    user: decoded(parsed.username, decodeURIComponent),
    password: decoded(parsed.password, decodeURIComponent),
    ...(sslmode === null ? {} : { sslmode }),
  };
}

/** A file may hold an address that is not quite encoded. */
function decoded(text: string, decode: (text: string) => string): string {
  try {
    return decode(text);
  } catch {
    return text;
  }
}

const ADDRESS = "A Postgres address looks like postgres://user:password@host:5432/database.";

function urlFaults(url: string): FieldProblem[] {
  const parsed = /^postgres(ql)?:\/\/\S+$/.test(url) ? URL.parse(url) : null;
  if (parsed === null) return [{ field: "url", message: ADDRESS }];
  // Others name files of this machine, or another host than the one that is shown.
  const unknown = [...parsed.searchParams.keys()].filter((name) => name !== "sslmode");
  return unknown.map((name) => ({
    field: "url",
    message: `May have no \`${name.slice(0, 40)}\`, only \`sslmode\`; leave it out.`,
  }));
}

function partFaults({ hostname, port = "5432", database, user, sslmode }: Parts): FieldProblem[] {
  const faults: FieldProblem[] = [];
  const fault = (field: CredentialField["id"], message: string) => void faults.push({ field, message });
  if (hostname === undefined || hostname === "") fault("hostname", "Is missing; give the server's name.");
  else if (!/^([A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$/.test(hostname))
    fault("hostname", "Must be a name or an address alone, without port or path.");
  if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535)
    fault("port", "Must be a number from 1 to 65535.");
  if (database === undefined || database === "") fault("database", "Is missing; give the database's name.");
  else if (/[/?#]/.test(database)) fault("database", "Must not hold `/`, `?` or `#`.");
  if (user === undefined || user === "") fault("user", "Is missing; give the role's name.");
  if (sslmode !== undefined && !(SSL_MODES as readonly string[]).includes(sslmode))
    fault("sslmode", `Write one of: ${SSL_MODES.join(", ")}.`);
  return faults;
}

function composed(parts: Parts, base: string | null): string {
  const { hostname = "", port = "5432", database = "", user = "", password = "", sslmode } = parts;
  const host = hostname.includes(":") && !hostname.startsWith("[") ? `[${hostname}]` : hostname;
  const secret = password === "" ? "" : `:${encodeURIComponent(password)}`;
  // What a file wrote behind the address stays.
  const options = base === null ? new URLSearchParams() : new URL(base).searchParams;
  if (sslmode !== undefined) options.set("sslmode", sslmode);
  const query = options.size === 0 ? "" : `?${options.toString()}`;
  return `postgres://${encodeURIComponent(user)}${secret}@${host}:${Number(port)}/${encodeURI(database)}${query}`;
}
