/** The program of the sink: a raw HTTP server that answers by its path, counts deliveries and checks every signature. */
import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { answerMessages } from "./childMessages.ts";
import { nowMs } from "./clock.ts";
import type { Arrival, SinkQuestion, SinkReport } from "./sink.ts";

const HEAD_END = Buffer.from("\r\n\r\n");
const OK = Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
const UNAVAILABLE = Buffer.from("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
const SLOW_MS = 20;

let secrets = new Map<string, KeyObject>();
let isRecording = false;
let accepted = new Set<string>();
let failedOnce = new Set<string>();
let arrivals: Arrival[] = [];
let counts = { requests: 0, accepted: 0, badSignatures: 0 };
let awaited: { accepted: number; resolve(answer: { atMs: number }): void } | null = null;

/** Reads headers by name; each pattern is made once. */
function reader(name: string): (head: string) => string | undefined {
  const pattern = new RegExp(`\r\n${name}: *([^\r\n]*)`, "i");
  return (head) => pattern.exec(head)?.[1];
}
const lengthOf = reader("content-length");
const deliveryIdOf = reader("x-delivery-id");
const keyOf = reader("idempotency-key");
const eventIdOf = reader("x-event-id");
const webhookIdOf = reader("x-webhook-id");
const signatureOf = reader("x-signature");

function check(head: string, body: Buffer): void {
  const secret = secrets.get(webhookIdOf(head) ?? "");
  const wanted =
    secret === undefined ? undefined : createHmac("sha256", secret).update(body).digest("base64");
  if (wanted === undefined || signatureOf(head) !== wanted) counts.badSignatures += 1;
}

function accept(socket: Socket, deliveryId: string): void {
  counts.accepted += 1;
  accepted.add(deliveryId);
  socket.write(OK);
  if (awaited !== null && accepted.size >= awaited.accepted) {
    awaited.resolve({ atMs: nowMs() });
    awaited = null;
  }
}

/** Answers a whole request as its path says. */
function answer(socket: Socket, head: string, atMs: number): void {
  counts.requests += 1;
  const deliveryId = deliveryIdOf(head) ?? keyOf(head) ?? "";
  const path = head.slice(head.indexOf(" ") + 1, head.indexOf(" ", head.indexOf(" ") + 1));
  let status: number | null = 200;
  if (path === "/hang") status = null;
  else if (path === "/fail" && !failedOnce.has(deliveryId)) status = 503;
  if (isRecording) {
    arrivals.push({ deliveryId, eventId: eventIdOf(head) ?? "", atMs, wallMs: Date.now(), status });
  }
  if (status === null) return;
  if (status === 503) {
    failedOnce.add(deliveryId);
    socket.write(UNAVAILABLE);
  } else if (path === "/slow") setTimeout(accept, SLOW_MS, socket, deliveryId);
  else accept(socket, deliveryId);
}

function serve(socket: Socket): void {
  socket.setNoDelay(true);
  let rest: Buffer = Buffer.alloc(0);
  let head: { text: string; atMs: number } | null = null;
  let left = 0;
  let kept: Buffer[] = [];
  socket.on("data", (chunk) => {
    const atMs = nowMs();
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (;;) {
      if (head === null) {
        const end = rest.indexOf(HEAD_END);
        if (end < 0) return;
        const text = rest.toString("latin1", 0, end);
        head = { text, atMs };
        left = Number(lengthOf(text) ?? 0);
        kept = [];
        rest = rest.subarray(end + HEAD_END.length);
      }
      const part = rest.subarray(0, left);
      left -= part.length;
      rest = rest.subarray(part.length);
      if (secrets.size > 0) kept.push(part);
      if (left > 0) return;
      const [body = part] = kept.length === 1 ? kept : [Buffer.concat(kept)];
      if (secrets.size > 0) check(head.text, body);
      answer(socket, head.text, head.atMs);
      head = null;
    }
  });
  socket.on("error", () => socket.destroy());
}

function begin(): void {
  accepted = new Set();
  failedOnce = new Set();
  arrivals = [];
  counts = { requests: 0, accepted: 0, badSignatures: 0 };
}

function until({
  accepted: wanted,
  patienceMs,
}: Extract<SinkQuestion, { kind: "until" }>): Promise<{ atMs: number }> {
  return new Promise((resolve, reject) => {
    if (accepted.size >= wanted) {
      resolve({ atMs: nowMs() });
      return;
    }
    const giveUp = setTimeout(() => {
      awaited = null;
      reject(
        new Error(`the sink accepted ${accepted.size} of ${wanted} deliveries in ${patienceMs / 1000} s`),
      );
    }, patienceMs);
    awaited = {
      accepted: wanted,
      resolve(reached) {
        clearTimeout(giveUp);
        resolve(reached);
      },
    };
  });
}

const server = createServer(serve);
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address() as AddressInfo;

answerMessages(
  (question: SinkQuestion): object => {
    switch (question.kind) {
      case "watch":
        if (question.secrets !== undefined) {
          secrets = new Map(question.secrets.map(([id, secret]) => [id, createSecretKey(secret, "utf8")]));
        }
        isRecording = question.isRecording ?? false;
        begin();
        return {};
      case "report": {
        const report: SinkReport = { port, ...counts, distinct: accepted.size };
        begin();
        return report;
      }
      case "until":
        return until(question);
      case "arrivals":
        return { arrivals };
    }
  },
  async () => void server.close(),
);
