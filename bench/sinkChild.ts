/** The program of the sink: a raw HTTP server that answers 200 at once, counts distinct ids and checks a sample of signatures. */
import { createHmac } from "node:crypto";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { answerMessages } from "./childMessages.ts";
import type { SinkQuestion, SinkReport } from "./sink.ts";

/** One request in so many has its signature checked. */
const SAMPLE_EVERY = 50;
const HEAD_END = Buffer.from("\r\n\r\n");
const ANSWER = Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");

let secrets = new Map<string, string>();
let ids = new Set<string>();
let requests = 0;
let checked = 0;
let badSignatures = 0;

function headerOf(head: string, name: string): string | undefined {
  return new RegExp(`\r\n${name}: *([^\r\n]*)`, "i").exec(head)?.[1];
}

/** Notes a request by its head; true when its body has to be kept for the check. */
function note(head: string): boolean {
  requests += 1;
  const id = headerOf(head, "x-delivery-id") ?? headerOf(head, "idempotency-key");
  if (id !== undefined) ids.add(id);
  return secrets.size > 0 && requests % SAMPLE_EVERY === 0;
}

function check(head: string, body: Buffer): void {
  checked += 1;
  const secret = secrets.get(headerOf(head, "x-webhook-id") ?? "") ?? "";
  const wanted = createHmac("sha256", secret).update(body).digest("base64");
  if (headerOf(head, "x-signature") !== wanted) badSignatures += 1;
}

function serve(socket: Socket): void {
  socket.setNoDelay(true);
  let pending: Buffer = Buffer.alloc(0);
  let head: string | null = null;
  let left = 0;
  let kept: Buffer[] | null = null;
  const take = (chunk: Buffer): Buffer => {
    const part = chunk.subarray(0, left);
    left -= part.length;
    kept?.push(part);
    return chunk.subarray(part.length);
  };
  socket.on("data", (chunk) => {
    let rest: Buffer = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    pending = rest.subarray(rest.length);
    for (;;) {
      if (head === null) {
        const end = rest.indexOf(HEAD_END);
        if (end < 0) break;
        head = rest.toString("latin1", 0, end);
        left = Number(headerOf(head, "content-length") ?? 0);
        kept = note(head) ? [] : null;
        rest = rest.subarray(end + HEAD_END.length);
      }
      rest = take(rest);
      if (left > 0) break;
      if (kept !== null) check(head, Buffer.concat(kept));
      head = null;
      socket.write(ANSWER);
    }
    pending = rest;
  });
  socket.on("error", () => socket.destroy());
}

const server = createServer(serve);
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address() as AddressInfo;

answerMessages(
  (question: SinkQuestion) => {
    if (question.secrets !== undefined) secrets = new Map(question.secrets);
    const report: SinkReport = { port, requests, distinct: ids.size, checked, badSignatures };
    ids = new Set();
    requests = checked = badSignatures = 0;
    return report;
  },
  async () => void server.close(),
);
