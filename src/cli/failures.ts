/** How a command that cannot go on says so: a message and the fix, an exit code, and no stack unless it was asked for. */
import { ApiError, ApiUnreachable } from "../client/apiError.ts";
import { environment, InvalidConfig } from "../config.ts";
import { AppError, InvalidInput, NotFound, RunFailure, toError, Unavailable } from "../domain/errors.ts";
import { EXIT } from "./exitCodes.ts";
import { describeApiError } from "./remote/apiFailure.ts";

/** Nothing says where Postgres and NATS are. */
export class NotConfigured extends AppError {
  constructor(message: string) {
    super("NOT_CONFIGURED", message);
  }
}

/** Something did not happen in time. */
export class TimedOut extends AppError {
  constructor(message: string) {
    super("TIMED_OUT", message);
  }
}

/** What to print and with which code to end. */
export interface Failure {
  lines: string[];
  exitCode: number;
}

const CREDENTIALS_IN_URL = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi;
const NETWORK_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOTFOUND",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "EPIPE",
]);
/** JetStream: no stream of that name. */
const STREAM_NOT_FOUND = 10059;
/** Postgres: a table or schema is not there. */
const NOT_MIGRATED = new Set(["42P01", "3F000"]);

/** A thrown value in words for people. */
export function describeFailure(thrown: unknown): Failure {
  const error = toError(thrown);
  const failure = describe(error);
  const level = environment()["EGRET_LOG_LEVEL"];
  if ((level === "debug" || level === "trace") && error.stack !== undefined) failure.lines.push(error.stack);
  return {
    ...failure,
    lines: failure.lines.map((line) => line.replace(CREDENTIALS_IN_URL, "$1[redacted]@")),
  };
}

function describe(error: Error): Failure {
  if (error instanceof InvalidConfig) {
    const problems = error.problems.map(({ field, message }) => `  ${field} ${message}`);
    return { lines: ["a setting in the environment cannot be used:", ...problems], exitCode: EXIT.badInput };
  }
  if (error instanceof InvalidInput) {
    const problems = error.problems.map((problem) => `  ${problemLine(problem)}`);
    return { lines: [error.message, ...problems], exitCode: EXIT.badInput };
  }
  if (error instanceof NotFound) return { lines: [error.message], exitCode: EXIT.badInput };
  if (error instanceof TimedOut) return { lines: [error.message], exitCode: EXIT.timedOut };
  const isUnfit = error instanceof AppError && error.code === "NATS_UNFIT";
  if (error instanceof Unavailable || error instanceof NotConfigured || isUnfit) {
    return { lines: error.message.split("\n"), exitCode: EXIT.unreachable };
  }
  if (error instanceof RunFailure) {
    return {
      lines: [error.message, ...(error.detail === null ? [] : [error.detail])],
      exitCode: EXIT.failed,
    };
  }
  if (error instanceof AppError) return { lines: [error.message], exitCode: EXIT.failed };
  if (error instanceof ApiError) return describeApiError(error);
  if (error instanceof ApiUnreachable) return { lines: [error.message], exitCode: EXIT.unreachable };
  return describeForeign(error);
}

/** Errors of drivers and of the system, which have a code of their own. */
function describeForeign(error: Error & { code?: unknown }): Failure {
  const { code } = error;
  if (typeof code === "string" && NOT_MIGRATED.has(code)) {
    const line =
      "the database has not all of Egret's tables: run `egret migrate`, or `egret start`, which does it too";
    return { lines: [line], exitCode: EXIT.unreachable };
  }
  if (code === STREAM_NOT_FOUND) {
    const line =
      "the NATS server has no event streams yet: run `egret start` against it once, or check EGRET_STREAM_PREFIX";
    return { lines: [line], exitCode: EXIT.unreachable };
  }
  if (typeof code === "string" && NETWORK_CODES.has(code)) {
    return { lines: [`a service went away: ${error.message || code}`], exitCode: EXIT.unreachable };
  }
  const first = error instanceof AggregateError ? toError(error.errors[0]) : error;
  const message = error.message || first.message || error.name;
  // A plain Error was worded for people; any other kind is a fault of ours.
  const hint =
    Object.getPrototypeOf(error) === Error.prototype
      ? []
      : ["(EGRET_LOG_LEVEL=debug shows where this happened)"];
  return { lines: [message, ...hint], exitCode: EXIT.failed };
}

function problemLine({ field, message }: { field: string; message: string }): string {
  const place = /^(.+?:\d+:\d+): /.exec(message);
  if (place === null) return field === "" ? message : `${field}: ${message}`;
  const rest = message.slice(place[0].length);
  return field === "" ? `${place[1]}: ${rest}` : `${place[1]}: ${field}: ${rest}`;
}
