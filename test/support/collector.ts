/** A collector of traces on the loopback interface: takes OTLP over HTTP as JSON, and keeps the spans. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** One span as it came, with its attributes as plain values. */
export interface CollectedSpan {
  traceId: string;
  spanId: string;
  parentSpanId: string | undefined;
  name: string;
  /** OTLP's numbers: 1 internal, 3 client, 4 producer, 5 consumer. */
  kind: number;
  startMs: number;
  endMs: number;
  /** 2 is an error. */
  statusCode: number;
  attributes: Record<string, string | number | boolean>;
  resource: Record<string, string | number | boolean>;
}

/** A running collector. */
export interface Collector {
  url: string;
  /** Every request's path and content type, oldest first. */
  requests: readonly { path: string; contentType: string; headers: Record<string, unknown> }[];
  spans: readonly CollectedSpan[];
  /** Answers from now on with that status; 200 at first. */
  answer(status: number): void;
  /** Resolves once the predicate holds of all spans so far. */
  waitFor(isMet: (spans: readonly CollectedSpan[]) => boolean, timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
}

interface KeyValue {
  key: string;
  value: { stringValue?: string; intValue?: number | string; doubleValue?: number; boolValue?: boolean };
}
interface OtlpSpan extends Pick<CollectedSpan, "traceId" | "spanId" | "parentSpanId" | "name" | "kind"> {
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  status: { code?: number };
  attributes: KeyValue[];
}
interface OtlpBody {
  resourceSpans: { resource: { attributes: KeyValue[] }; scopeSpans: { spans: OtlpSpan[] }[] }[];
}

const DEFAULT_WAIT_MS = 30_000;

/** Starts a collector on a port that the system chooses. */
export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const requests: Collector["requests"][number][] = [];
  const waiters = new Set<() => void>();
  let status = 200;
  const server = createServer((incoming, response) => {
    void read(incoming).then((body) => {
      const { url: path = "", headers } = incoming;
      requests.push({ path, contentType: headers["content-type"] ?? "", headers });
      if (status === 200) spans.push(...spansOf(JSON.parse(body) as OtlpBody));
      response.writeHead(status, { "content-type": "application/json" }).end("{}");
      for (const check of waiters) check();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    spans,
    answer: (next) => {
      status = next;
    },
    async waitFor(isMet, timeoutMs = DEFAULT_WAIT_MS) {
      if (isMet(spans)) return;
      await new Promise<void>((resolve, reject) => {
        const check = () => {
          if (!isMet(spans)) return;
          clearTimeout(tooLate);
          waiters.delete(check);
          resolve();
        };
        const tooLate = setTimeout(() => {
          waiters.delete(check);
          const names = spans.map(({ name }) => name).join(", ");
          reject(new Error(`what was waited for did not come within ${timeoutMs} ms; there are: ${names}`));
        }, timeoutMs);
        waiters.add(check);
      });
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function read(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function spansOf({ resourceSpans }: OtlpBody): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap((scope) =>
      scope.spans.map(({ traceId, spanId, parentSpanId, name, kind, ...span }) => ({
        traceId,
        spanId,
        name,
        kind,
        parentSpanId: parentSpanId === "" ? undefined : parentSpanId,
        startMs: Number(BigInt(span.startTimeUnixNano) / 1_000_000n),
        endMs: Number(BigInt(span.endTimeUnixNano) / 1_000_000n),
        statusCode: span.status.code ?? 0,
        attributes: plain(span.attributes),
        resource: plain(resource.attributes),
      })),
    ),
  );
}

function plain(attributes: KeyValue[]): Record<string, string | number | boolean> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      const { stringValue, intValue, doubleValue, boolValue } = value;
      return [key, stringValue ?? doubleValue ?? boolValue ?? Number(intValue)];
    }),
  );
}
