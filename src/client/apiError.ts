/** What can go wrong with a request to the management API: it was refused, or no answer came. */

/** One field of a request that is wrong. */
export interface FieldError {
  /** Such as `mappings[2].to`; empty for the request as a whole. */
  field: string;
  message: string;
}

/** What an answer tells of a refusal. */
export interface Refusal {
  operation: string;
  server: string;
  /** HTTP status. */
  status: number;
  message: string;
  errors: readonly FieldError[];
  requestId: string | null;
  retryAfterMs: number | null;
}

/** The API refused the request. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** HTTP status. */
  readonly status: number;
  /** Field by field, where the API tells. */
  readonly errors: readonly FieldError[];
  /** Name of the operation, such as `triggerSync`. */
  readonly operation: string;
  /** Address of the server, without the path of the API. */
  readonly server: string;
  /** By which the server's log knows the request. */
  readonly requestId: string | null;
  /** How long to wait before asking again, where the API says so, ms. */
  readonly retryAfterMs: number | null;

  constructor({ operation, server, status, message, errors, requestId, retryAfterMs }: Refusal) {
    super(message);
    this.operation = operation;
    this.server = server;
    this.status = status;
    this.errors = errors;
    this.requestId = requestId;
    this.retryAfterMs = retryAfterMs;
  }
}

/** No answer came, or none that is the API's: what became of the request is not known. `cause` says more. */
export class ApiUnreachable extends Error {
  override readonly name = "ApiUnreachable";
  readonly operation: string;
  /** Whether the time that was given passed. */
  readonly isTimeout: boolean;

  constructor(
    message: string,
    { operation, isTimeout = false, cause }: { operation: string; isTimeout?: boolean; cause?: unknown },
  ) {
    super(message, { cause });
    this.operation = operation;
    this.isTimeout = isTimeout;
  }
}
