/** What the management API refused, in words for people, with the command that mends it. */
import type { ApiError } from "../../client/apiError.ts";
import { EXIT } from "../exitCodes.ts";

/** Lines and exit code: a refusal of what was asked did nothing, a fault of the server is one. */
export function describeApiError(error: ApiError): { lines: string[]; exitCode: number } {
  const { status, message, errors, server, requestId } = error;
  if (status === 401)
    return {
      lines: [`the token is not accepted by ${server}: run \`egret login ${server}\``],
      exitCode: EXIT.badInput,
    };
  if (status === 429 || status === 503)
    return { lines: [`${server}: ${message}`], exitCode: EXIT.unreachable };
  if (status >= 500) {
    const known = requestId === null ? "" : ` (request ${requestId} in its log)`;
    return { lines: [`${server}: ${message}${known}`], exitCode: EXIT.failed };
  }
  if (status === 404)
    return { lines: [`${server} knows nothing of what was asked for: ${message}`], exitCode: EXIT.badInput };
  const problems = errors.filter((problem) => message !== `${problem.field}: ${problem.message}`);
  return {
    lines: [message, ...problems.map((problem) => `  ${problem.field}: ${problem.message}`)],
    exitCode: EXIT.badInput,
  };
}
