/** What can go wrong with a request to the management API: it was refused, or no answer came. */
/** The API refused the request. */
export class ApiError extends Error {
    name = "ApiError";
    /** HTTP status. */
    status;
    /** Field by field, where the API tells. */
    errors;
    /** Name of the operation, such as `triggerSync`. */
    operation;
    /** Address of the server, without the path of the API. */
    server;
    /** By which the server's log knows the request. */
    requestId;
    /** How long to wait before asking again, where the API says so, ms. */
    retryAfterMs;
    constructor({ operation, server, status, message, errors, requestId, retryAfterMs }) {
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
    name = "ApiUnreachable";
    operation;
    /** Whether the time that was given passed. */
    isTimeout;
    constructor(message, { operation, isTimeout = false, cause }) {
        super(message, { cause });
        this.operation = operation;
        this.isTimeout = isTimeout;
    }
}
