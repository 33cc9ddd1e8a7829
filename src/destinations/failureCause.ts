/** Why a request got no answer, in words that name no address, header or body. */
import { toError } from "../domain/errors.ts";
import { ProxyFailed } from "../security/proxyTunnel.ts";
import { tlsProblem } from "../security/tlsProblem.ts";
import { OutboundRefused } from "../security/vettedAddresses.ts";

const CAUSES: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EPIPE: "connection reset",
  ENOTFOUND: "host name not found",
  EAI_AGAIN: "host name could not be looked up",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
  ETIMEDOUT: "connection timed out",
  UND_ERR_CONNECT_TIMEOUT: "connection timed out",
  UND_ERR_HEADERS_TIMEOUT: "no answer in time",
  UND_ERR_HEADERS_OVERFLOW: "the answer's headers are larger than 16 KiB",
  UND_ERR_SOCKET: "connection closed before an answer",
};

/** By code only: a driver's message may quote what was sent or the address. */
export function failureCause(thrown: unknown): string {
  const error = toError(thrown);
  if (error instanceof OutboundRefused || error instanceof ProxyFailed) return error.message;
  const tls = tlsProblem(error);
  if (tls !== null) return tls;
  const code = (error as { code?: unknown }).code ?? (error.cause as { code?: unknown } | undefined)?.code;
  if (error.name === "HTTPParserError") return "the answer was not HTTP";
  if (typeof code !== "string") return "the request failed";
  return CAUSES[code] ?? `the request failed (${code})`;
}
