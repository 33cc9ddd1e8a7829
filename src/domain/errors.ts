/** The one family of errors: each has a stable code, names the thing and the next step, and never holds a secret. */

/** One fault in something a person wrote: where it stands and how to mend it. */
export interface FieldProblem {
  /** Path of the field, as in `syncs.airports.mappings[2].column`. */
  field: string;
  message: string;
}

/** Base of all errors that Egret raises on purpose. */
export class AppError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Something handed to us is wrong; `problems` name each field and its fix. Nothing of it was applied (I12). */
export class InvalidInput extends AppError {
  readonly problems: readonly FieldProblem[];
  constructor(message: string, problems: readonly FieldProblem[] = [], options?: ErrorOptions) {
    super("INVALID_INPUT", message, options);
    this.problems = problems;
  }
}

/** A thing that was asked for by name or id does not exist. */
export class NotFound extends AppError {
  constructor(message: string, options?: ErrorOptions) {
    super("NOT_FOUND", message, options);
  }
}

/** Someone else moved the aggregate: reload it and decide again (I2). */
export class VersionConflict extends AppError {
  constructor(message: string, options?: ErrorOptions) {
    super("VERSION_CONFLICT", message, options);
  }
}

/** An object cannot go while others use it or it is at work; the message names them. */
export class InUse extends AppError {
  constructor(message: string, options?: ErrorOptions) {
    super("IN_USE", message, options);
  }
}

/** The machine does not take this fact in its present state (I3). */
export class FactRefused extends AppError {
  constructor(message: string, options?: ErrorOptions) {
    super("FACT_REFUSED", message, options);
  }
}

/** The log holds something that cannot be: a gap, an unknown event, a state that replay does not reach. */
export class LogCorrupt extends AppError {
  constructor(message: string, options?: ErrorOptions) {
    super("LOG_CORRUPT", message, options);
  }
}

/** NATS, Postgres or a source does not answer now; trying again later can help. */
export class Unavailable extends AppError {
  constructor(message: string, options?: ErrorOptions) {
    super("UNAVAILABLE", message, options);
  }
}

/** Error codes of a failed run (behaviour.md 4.4; ours). */
export type RunErrorCode =
  | "SOURCE_CONNECTION_FAILED"
  | "SOURCE_QUERY_FAILED"
  | "SOURCE_COLUMN_MISSING"
  | "SOURCE_TIMEOUT"
  | "DESTINATION_CONNECTION_FAILED"
  | "DESTINATION_SERVER_ERROR"
  | "DESTINATION_RATE_LIMITED"
  | "CONFIG_INVALID"
  | "DELETE_GUARD"
  | "REJECT_GUARD"
  | "SYNC_CANCELED"
  | "INTERNAL_ERROR";

/** A run cannot go on; it ends as failed with these words. `detail` says what to do. */
export class RunFailure extends AppError {
  readonly runCode: RunErrorCode;
  readonly detail: string | null;
  constructor(runCode: RunErrorCode, message: string, detail: string | null = null, options?: ErrorOptions) {
    super(runCode, message, options);
    this.runCode = runCode;
    this.detail = detail;
  }
}

/** Any thrown value as an Error, so that a catch can read `message`. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
