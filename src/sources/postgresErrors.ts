/** Turns what a Postgres source throws into a RunFailure; texts that could hold row values or secrets stay behind. */
import { type RunErrorCode, RunFailure } from "../domain/errors.ts";
import { tlsProblem } from "../security/tlsProblem.ts";

/** Name of a thrown Postgres error's SQLSTATE, or of a socket error's code; null when it has none. */
export function errorCode(thrown: unknown): string | null {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : null;
}

/**
 * SQLSTATE classes whose messages name objects, roles, limits or syntax, never values of a row. Data errors (22, 23),
 * raised exceptions (P0) and the rest can quote a row, as in `invalid input syntax for type integer: "…"`.
 */
const SAFE_CLASSES = new Set(["08", "0A", "25", "26", "28", "3D", "3F", "40", "42", "53", "54", "55", "57"]);

const CONDITION_NAMES: Record<string, string> = {
  "21000": "cardinality violation",
  "22001": "string data right truncation",
  "22003": "numeric value out of range",
  "22007": "invalid datetime format",
  "22008": "datetime field overflow",
  "22012": "division by zero",
  "22021": "character not in repertoire",
  "22023": "invalid parameter value",
  "22P02": "invalid text representation",
  "22P05": "untranslatable character",
  P0001: "raise exception",
};

const CLASS_NAMES: Record<string, string> = {
  "22": "data exception",
  "23": "integrity constraint violation",
  "58": "system error",
  P0: "PL/pgSQL error",
  XX: "internal error",
};

const CONNECTION_CLASSES = new Set(["08", "28", "3D"]);

/** True for `42601`, false for a socket's code such as EPIPE. */
function isSqlState(code: string): boolean {
  return /^[0-9A-Z]{5}$/.test(code) && !/^E[A-Z]+$/.test(code);
}

/** What the driver says of a server that declines to encrypt; it gives no code. */
const NO_TLS = /does not support SSL|establishing an SSL connection/;

/** What is wrong with the encryption of a connection, without a value of it; null when it is something else. */
function encryptionProblem(thrown: unknown): string | null {
  if (errorCode(thrown) === null && thrown instanceof Error && NO_TLS.test(thrown.message))
    return "the server offers no TLS";
  return tlsProblem(thrown);
}

/** What may be said of an error of a Postgres source: the server's message if it is safe, else the condition's name. */
export function safeSourceMessage(thrown: unknown): string {
  const encryption = encryptionProblem(thrown);
  if (encryption !== null) return encryption;
  const code = errorCode(thrown);
  if (code === null) return "the connection was lost";
  if (!isSqlState(code)) return `the connection failed (${code})`;
  const group = code.slice(0, 2);
  if (SAFE_CLASSES.has(group) && thrown instanceof Error) return `${thrown.message} (SQLSTATE ${code})`;
  const name = CONDITION_NAMES[code] ?? CLASS_NAMES[group] ?? "error";
  return `${name} (SQLSTATE ${code})`;
}

function kindOf(code: string | null): RunErrorCode {
  if (code === null || !isSqlState(code)) return "SOURCE_CONNECTION_FAILED";
  // 57014 is a cancelled statement: of a read by us, only the statement timeout does that; 55P03 is a lock wait.
  if (code === "57014" || code === "55P03") return "SOURCE_TIMEOUT";
  if (CONNECTION_CLASSES.has(code.slice(0, 2)) || code.startsWith("57P") || code.startsWith("53")) {
    return "SOURCE_CONNECTION_FAILED";
  }
  return "SOURCE_QUERY_FAILED";
}

const NEXT_STEPS: Partial<Record<RunErrorCode, string>> = {
  SOURCE_CONNECTION_FAILED:
    "Check the address, the user and the password of the source, and that it accepts connections",
  SOURCE_TIMEOUT:
    "Make the model faster, or give a statement longer by statement_timeout=<ms> in the source's address",
  SOURCE_QUERY_FAILED: "Run the model's query on the source and mend what it reports",
};

const ENCRYPTION_STEP =
  "Check sslmode in the source's address (sslrootcert names a file with the authority's certificate; sslmode=no-verify encrypts without a check)";

/**
 * The failure of a run that an error of a Postgres source means. Without `cause` on purpose: the driver's error
 * carries the text, detail and context that were left out here, and loggers print causes.
 */
export function toSourceFailure(sourceName: string, thrown: unknown): RunFailure {
  if (thrown instanceof RunFailure) return thrown;
  const code = kindOf(errorCode(thrown));
  const what = {
    SOURCE_CONNECTION_FAILED: `Source ${sourceName} could not be reached`,
    SOURCE_TIMEOUT: `Source ${sourceName} took too long`,
  }[code as string];
  const message = `${what ?? `Source ${sourceName} refused the query`}: ${safeSourceMessage(thrown)}`;
  const step = encryptionProblem(thrown) === null ? (NEXT_STEPS[code] ?? null) : ENCRYPTION_STEP;
  return new RunFailure(code, message, step);
}
