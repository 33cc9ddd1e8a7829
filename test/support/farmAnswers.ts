/** What a receiver of the farm can do with a request: answers as lists of steps, and rules that choose among them. */
import { STATUS_CODES } from "node:http";
import { seededRandom } from "./seeded.ts";

/** One request as it came over the wire. */
export interface FarmRequest {
  /** Place among all requests, from 1. */
  number: number;
  method: string;
  /** With the query string. */
  path: string;
  /** Names in small letters; of a repeated one the last. */
  headers: Readonly<Record<string, string>>;
  bodyBytes: number;
  bodySha256: string;
  /** When its last byte had come, in milliseconds since the epoch. */
  at: number;
  /** Which connection brought it, from 1, and its place on that connection, from 1. */
  connection: number;
  onConnection: number;
}

/** One thing done to a connection. After the last step the connection is ready for its next request. */
export type Step =
  | { kind: "send"; bytes: string }
  /** One character after the other. */
  | { kind: "drip"; bytes: string; everyMs: number }
  | { kind: "wait"; ms: number }
  /** Nothing more comes, and the connection stays open. */
  | { kind: "hang" }
  /** RST: the other side sees a broken connection. */
  | { kind: "reset" }
  /** FIN, after what was sent. */
  | { kind: "close" };

/** Steps in their order. */
export type Answer = readonly Step[];

/** The same answer always, or one chosen by the request. */
export type Rule = Answer | ((request: FarmRequest, body: Buffer) => Answer);

const send = (bytes: string): Step => ({ kind: "send", bytes });
const HANG: Step = { kind: "hang" };
const RESET: Step = { kind: "reset" };
const CLOSE: Step = { kind: "close" };

interface Parts {
  headers?: Record<string, string>;
  body?: string;
}

/** The head of an answer, with the empty line that ends it. */
function head(status: number, headers: Record<string, string>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unheard Of"}\r\n${lines.join("")}\r\n`;
}

/** A whole answer as text; its content-length is true unless the headers say otherwise. */
function message(status: number, { headers = {}, body = "" }: Parts = {}): string {
  const length =
    status === 204 || status === 304 ? {} : { "content-length": String(Buffer.byteLength(body)) };
  return head(status, { ...length, ...headers }) + body;
}

const status = (code: number, parts?: Parts): Answer => [send(message(code, parts))];
const late = (ms: number, answer: Answer): Answer => [{ kind: "wait", ms }, ...answer];

/** Every way to answer; each is a value or makes one. */
export const answers = {
  ok: status(200),
  status,
  /** Reads the request and says nothing. */
  hang: [HANG] as Answer,
  hangInStatusLine: [send("HTTP/1.1 20"), HANG] as Answer,
  hangInHeaders: [send("HTTP/1.1 200 OK\r\ncontent-le"), HANG] as Answer,
  /** The status stands, the body never ends. */
  hangInBody: (code = 200): Answer => [send(`${head(code, { "content-length": "100" })}half`), HANG],
  reset: [RESET] as Answer,
  resetInHeaders: [send("HTTP/1.1 200 OK\r\ncontent-le"), { kind: "wait", ms: 20 }, RESET] as Answer,
  resetInBody: (code = 200): Answer => [
    send(`${head(code, { "content-length": "100" })}half`),
    { kind: "wait", ms: 20 },
    RESET,
  ],
  close: [CLOSE] as Answer,
  closeInHeaders: [send("HTTP/1.1 200 OK\r\ncontent-le"), CLOSE] as Answer,
  /** Promises more bytes than come: the connection ends before the body does. */
  closeInBody: (code = 200): Answer => [send(`${head(code, { "content-length": "100" })}half`), CLOSE],
  /** Every character by itself: the status line is as slow as the rest. */
  drip: (everyMs: number, code = 200): Answer => [{ kind: "drip", bytes: message(code), everyMs }],
  /** The head at once, the body character by character. */
  dripBody: (everyMs: number, body: string, code = 200): Answer => [
    send(head(code, { "content-length": String(body.length) })),
    { kind: "drip", bytes: body, everyMs },
  ],
  /** Says two bytes, sends those and whatever `surplus` is: what is over may look like an answer of its own. */
  lengthTooShort: (surplus: string, code = 200): Answer => [
    send(`${head(code, { "content-length": "2" })}{}${surplus}`),
  ],
  /** Informational answers before the real one. */
  informed: (codes: readonly number[], answer: Answer): Answer => [
    ...codes.map((code) => send(head(code, code === 103 ? { link: "</style.css>; rel=preload" } : {}))),
    ...answer,
  ],
  /** One informational answer after the other, and never a real one. */
  informedForEver: (everyMs: number): Answer => [
    { kind: "drip", bytes: head(102, {}).repeat(10_000), everyMs },
  ],
  redirect: (location: string, code = 302): Answer => status(code, { headers: { location } }),
  late,
  notHttp: [send("220 mail.example ESMTP ready\r\n")] as Answer,
  /** 2xx with a body that is no JSON, no text, and no compressed data although it says so. */
  garbage: (code = 200): Answer =>
    status(code, {
      headers: { "content-type": "application/json", "content-encoding": "gzip" },
      body: "\u0000\u0001{]\u001F\u007F not gzip, not JSON",
    }),
  hugeHeaders: status(200, { headers: { "x-filler": "x".repeat(200_000) } }),
  /** Closes after the answer and says so, as many small servers do. */
  okAndClose: [send(message(200, { headers: { connection: "close" } })), CLOSE] as Answer,
};

/** The text of a whole answer, to be smuggled behind another. */
export const answerText = message;

/** The answers one after the other; the last one for ever. */
export function inOrder(...list: readonly Answer[]): Rule {
  let next = 0;
  return () => list[Math.min(next++, list.length - 1)] ?? answers.ok;
}

/** The answers in turn, without end. */
export function alternate(...list: readonly Answer[]): Rule {
  let next = 0;
  return () => list[next++ % list.length] ?? answers.ok;
}

/** Each answer with its share of the requests (0.2 is a fifth), what is left over with `otherwise`. */
export function atRandom(
  seed: number,
  shares: readonly (readonly [share: number, answer: Answer])[],
  otherwise: Answer,
): Rule {
  const random = seededRandom(seed);
  return () => pick(random(), shares) ?? otherwise;
}

/** What a number in [0, 1) falls on when shares are laid side by side; null beyond the last. */
export function pick<T>(at: number, shares: readonly (readonly [share: number, value: T])[]): T | null {
  let edge = 0;
  for (const [share, value] of shares) {
    edge += share;
    if (at < edge) return value;
  }
  return null;
}

/** A rule for each path (without the query); 404 for others. */
export function byPath(rules: Readonly<Record<string, Rule>>): Rule {
  return (request, body) => {
    const rule = rules[request.path.split("?")[0] ?? ""] ?? answers.status(404);
    return typeof rule === "function" ? rule(request, body) : rule;
  };
}
