/** A sink for requests in a process of its own, so that answering costs the sender nothing but time. */
import { startChild } from "./childMessages.ts";

/** What the sink can be asked. */
export type SinkQuestion =
  | { kind: "watch"; secrets?: [webhookId: string, secret: string][]; isRecording?: boolean }
  | { kind: "report" }
  | { kind: "until"; accepted: number; patienceMs: number }
  | { kind: "arrivals" };

/** What came since the count began. */
export interface SinkReport {
  port: number;
  requests: number;
  /** Requests that were answered with 200, and how many different deliveries they were. */
  accepted: number;
  distinct: number;
  /** Requests whose signature was wrong; all are checked when the sink knows secrets. */
  badSignatures: number;
}

/** One request. */
export interface Arrival {
  deliveryId: string;
  eventId: string;
  /** When its first bytes were read, by the clock of clock.ts. */
  atMs: number;
  /** The same moment by the wall clock. */
  wallMs: number;
  /** What it was answered with; null for one that hangs. */
  status: number | null;
}

/** A running sink. Paths: /hook answers 200 at once, /slow after 20 ms, /fail answers 503 the first time, /hang never. */
export interface Sink {
  pid: number;
  url: string;
  /** Begins a new count; whether it remembers each arrival is said here, secrets stay until others are given. */
  watch(question?: { secrets?: [string, string][]; isRecording?: boolean }): Promise<void>;
  /** What came, and begins a new count. */
  report(): Promise<SinkReport>;
  /** Resolves to the time at which so many different deliveries had been accepted. @throws after `patienceMs`. */
  until(accepted: number, patienceMs: number): Promise<number>;
  /** Every request since `watch`, when it was told to record. */
  arrivals(): Promise<Arrival[]>;
  close(): Promise<void>;
}

/** Starts it on a port that the system chooses. */
export async function startSink(): Promise<Sink> {
  const child = await startChild("sinkChild.ts");
  const ask = <Answer>(question: SinkQuestion) => child.ask<Answer>(question);
  const report = () => ask<SinkReport>({ kind: "report" });
  const { port } = await report();
  return {
    pid: child.pid,
    url: `http://127.0.0.1:${port}`,
    watch: async (question = {}) => void (await ask({ kind: "watch", ...question })),
    report,
    until: async (accepted, patienceMs) =>
      (await ask<{ atMs: number }>({ kind: "until", accepted, patienceMs })).atMs,
    arrivals: async () => (await ask<{ arrivals: Arrival[] }>({ kind: "arrivals" })).arrivals,
    close: () => child.close(),
  };
}

/** @throws unless each of the `wanted` deliveries came exactly once and was rightly signed. */
export async function expectAtSink(sink: Sink, wanted: number): Promise<void> {
  const got = await sink.report();
  if (got.distinct !== wanted || got.requests !== wanted || got.badSignatures > 0) {
    throw new Error(`the sink got something else than ${wanted} requests: ${JSON.stringify(got)}`);
  }
}
