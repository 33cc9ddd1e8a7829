/** What is no request that a route could answer, and yet gets an answer with the API's error body: Node alone sends none. */
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { RequestError } from "@hono/node-server";
import { errorBody } from "./api/apiErrors.ts";

/** Those that Node tells of by a code; anything else that it cannot read is a 400. */
const REFUSALS: Readonly<Record<string, { status: number; message: string }>> = {
  HPE_HEADER_OVERFLOW: { status: 431, message: "The headers of this request are too large: 16 KiB at most." },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: 413,
    message: "The extensions of the body's chunks are too large.",
  },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, message: "The request did not come to its end in time." },
};
const UNREADABLE = { status: 400, message: "This is no HTTP request." };

const COMMON = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  // What follows on the connection cannot be told from the rest of this.
  Connection: "close",
};

/** Has the server answer what its parser cannot read. */
export function answerUnreadable(server: Server): void {
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex & { destroySoon?(): void }) => {
    const { status, message } = REFUSALS[error.code ?? ""] ?? UNREADABLE;
    // In the middle of an answer another one would be taken for its rest: that connection only ends, as Node has it.
    // oxlint-disable-next-line no-underscore-dangle -- Node has no other name for the answer that a connection is in
    const isAnswering = (socket as { _httpMessage?: ServerResponse })._httpMessage?.headersSent === true;
    if (!socket.writable || isAnswering || error.code === "ECONNRESET") {
      socket.destroy(error);
      return;
    }
    const body = JSON.stringify(errorBody(status, message));
    const headers = {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(body),
      Date: new Date().toUTCString(),
      ...COMMON,
    };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("\r\n")}\r\n\r\n${body}`);
    // Ends once that is written; what else comes is not read.
    if (socket.destroySoon) socket.destroySoon();
    else socket.end();
  });
  server.on("checkExpectation", (_request: IncomingMessage, response: ServerResponse) =>
    refuse(response, 417, "Of expectations only `Expect: 100-continue` is met."),
  );
}

/** Whether it lacks the host that HTTP/1.1 asks for, which is then answered. The server must not look for it itself. */
export function lacksHost(request: IncomingMessage, response: ServerResponse): boolean {
  const isNeeded = request.httpVersionMajor === 1 && request.httpVersionMinor > 0;
  if (!isNeeded || request.headers.host !== undefined) return false;
  refuse(response, 400, "The request has no Host header.");
  return true;
}

/** For an address that is none, and for what nobody below caught. */
export function answerUnroutable(error: unknown): Response {
  const isTheirs = error instanceof RequestError;
  const status = isTheirs ? 400 : 500;
  const message = isTheirs
    ? "The address of this request, or its Host header, is not valid."
    : "Something went wrong on our side.";
  return Response.json(errorBody(status, message), { status, headers: COMMON });
}

function refuse(response: ServerResponse, status: number, message: string): void {
  const body = JSON.stringify(errorBody(status, message));
  const length = Buffer.byteLength(body);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": length, ...COMMON });
  response.end(body);
}
