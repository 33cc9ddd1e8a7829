/** A receiver for development: answers webhooks on the loopback interface and says whether their signatures hold. */
import { timingSafeEqual } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Unavailable } from "../domain/errors.ts";
import { signBody, signStandardWebhook } from "../security/signature.ts";

/** What a signature turned out to be; `unchecked` when no secret is known to check it with. */
export type Verdict = "valid" | "invalid" | "absent" | "unchecked";

/** One request, checked. */
export interface CheckedRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** When its last byte had come, ms since 1970. */
  atMs: number;
  /** Of `X-Signature`. */
  signature: Verdict;
  /** Of the Standard Webhooks headers. */
  standardSignature: Verdict;
}

/** A request and how it was answered. */
export interface AnsweredRequest extends CheckedRequest {
  status: number;
  /** When the answer was written, ms since 1970. */
  answeredAtMs: number;
}

export interface ReceiverOptions {
  /** 0 for any free port. */
  port: number;
  /** Secret to check with; null for none. Asked at each request, since it may become known later. */
  secret(): string | null;
  /** The HTTP status to answer with. */
  answer(request: CheckedRequest): number;
  onRequest(request: AnsweredRequest): void;
}

/** A listening receiver. */
export interface DevelopmentReceiver {
  url: string;
  close(): Promise<void>;
}

/** Far above the largest body that Egret sends. */
const MAX_BODY_BYTES = 16 * 1_048_576;

/** @throws Unavailable when the port is taken. */
export async function startDevelopmentReceiver(options: ReceiverOptions): Promise<DevelopmentReceiver> {
  const server = createServer((incoming, response) => {
    const handle = async (): Promise<void> => {
      const body = await readBody(incoming);
      if (body === null) {
        response.writeHead(413).end();
        return;
      }
      const request = check(incoming, body, options.secret());
      const status = options.answer(request);
      response.writeHead(status).end();
      options.onRequest({ ...request, status, answeredAtMs: Date.now() });
    };
    handle().catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const why =
        cause.code === "EADDRINUSE" ? "another program has it; choose another with --port" : cause.message;
      reject(new Unavailable(`cannot listen on port ${options.port}: ${why}`, { cause }));
    });
    server.listen(options.port, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function readBody(incoming: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function check(incoming: IncomingMessage, body: Buffer, secret: string | null): CheckedRequest {
  const { headers } = incoming;
  return {
    method: incoming.method ?? "",
    path: incoming.url ?? "/",
    headers,
    body,
    atMs: Date.now(),
    signature: verdictOf(header(headers, "x-signature"), secret, (key) => signBody(key, body)),
    standardSignature: verdictOf(header(headers, "webhook-signature"), secret, (key) =>
      key.startsWith("whsec_")
        ? signStandardWebhook({
            secret: key,
            id: header(headers, "webhook-id") ?? "",
            timestampSeconds: Number(header(headers, "webhook-timestamp")),
            body,
          })
        : "",
    ),
  };
}

function verdictOf(given: string | null, secret: string | null, sign: (secret: string) => string): Verdict {
  if (given === null) return "absent";
  if (secret === null) return "unchecked";
  const expected = Buffer.from(sign(secret));
  // Standard Webhooks allows several signatures with blanks between.
  const isValid = given.split(" ").some((part) => {
    const bytes = Buffer.from(part);
    return bytes.length === expected.length && timingSafeEqual(bytes, expected);
  });
  return isValid ? "valid" : "invalid";
}

/** The value of a header, or null. */
export function header(headers: IncomingHttpHeaders, name: string): string | null {
  const value = headers[name];
  return typeof value === "string" ? value : null;
}
