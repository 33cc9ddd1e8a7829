/** A sink for requests in a process of its own, so that answering costs the sender nothing but time. */
import { startChild } from "./childMessages.ts";

/** Sets the secrets by webhook id if they are given; in any case begins a new count. */
export interface SinkQuestion {
  secrets?: [webhookId: string, secret: string][];
}

/** What came since the last question. */
export interface SinkReport {
  port: number;
  requests: number;
  distinct: number;
  /** Requests whose signature was checked, one in fifty, and those of them with a wrong one. */
  checked: number;
  badSignatures: number;
}

/** A running sink. */
export interface Sink {
  url: string;
  report(question?: SinkQuestion): Promise<SinkReport>;
  close(): Promise<void>;
}

/** Starts it on a port that the system chooses. */
export async function startSink(): Promise<Sink> {
  const child = await startChild("sinkChild.ts");
  const report = (question: SinkQuestion = {}) => child.ask<SinkReport>(question);
  const { port } = await report();
  return { url: `http://127.0.0.1:${port}`, report, close: () => child.close() };
}

/** @throws unless each of the `wanted` ids came exactly once, and every checked signature was right. */
export async function expectAtSink(sink: Sink, wanted: number): Promise<void> {
  const got = await sink.report();
  if (got.distinct !== wanted || got.requests !== wanted || got.badSignatures > 0) {
    throw new Error(`the sink got something else than ${wanted} requests: ${JSON.stringify(got)}`);
  }
}
