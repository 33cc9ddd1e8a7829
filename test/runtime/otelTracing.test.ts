import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { pino } from "pino";
import { afterAll, describe, expect, test } from "vitest";
import type { AttemptOutcome } from "../../src/runtime/deliveries/attempt.ts";
import type { PendingData } from "../../src/runtime/deliveries/deliveryActor.ts";
import { openTracing } from "../../src/runtime/telemetry/otelTracing.ts";
import type { Tracing } from "../../src/runtime/telemetry/tracing.ts";
import { startCollector } from "../support/collector.ts";

const collector = await startCollector();
afterAll(() => collector.close());

const pending = {
  target_kind: "webhook",
  target_id: 14,
  delivery_id: "7-1-14",
  sync_run_id: 7,
  event: "sync.started",
} as PendingData;
const accepted: AttemptOutcome = {
  kind: "accepted",
  httpStatus: 200,
  startedAt: new Date(1_700_000_000_000),
  durationMs: 12.5,
};

/** A tracing whose log lines are kept. */
function open(options: { share?: number; endpoint?: string } = {}): { tracing: Tracing; lines: string[] } {
  const lines: string[] = [];
  const logger = pino({ level: "info" }, { write: (line) => void lines.push(line) });
  const settings = { endpoint: collector.url, share: 1, version: "1.2.3", ...options };
  return { tracing: openTracing({ ...settings, logger }), lines };
}

const traceOf = (traceparent: string | undefined) => traceparent?.split("-")[1] ?? "none";
const flagsOf = (traceparent: string | undefined) => traceparent?.split("-")[3];

describe("tracing that is exported", () => {
  test("lets an attempt begin when its request does, and forgets one that made none", async () => {
    const { tracing } = open();
    const delivery = tracing.delivery(undefined, pending);
    const made = tracing.attempt(delivery.traceparent, pending, 2);
    made.sending?.({ method: "POST", url: "https://user:pass@hooks.example/T0K3N?key=T0K3N" });
    made.end({ outcome: accepted, state: "delivered" });
    const dropped = tracing.attempt(delivery.traceparent, pending, 3);
    dropped.end({ outcome: { kind: "dropped", reason: "target_disabled" }, state: "dead" });
    delivery.end();
    await tracing.close();
    const spans = collector.spans.filter(({ traceId }) => traceId === traceOf(delivery.traceparent));
    expect(spans.map(({ name }) => name).sort()).toEqual(["POST", "send delivery"]);
    const span = spans.find(({ name }) => name === "POST");
    expect([span?.startMs, span?.endMs, made.traceparent?.split("-")[2]]).toEqual([
      1_700_000_000_000,
      1_700_000_000_012,
      span?.spanId,
    ]);
    expect(span?.attributes).toMatchObject({
      "server.address": "hooks.example",
      "server.port": 443,
      "url.scheme": "https",
      "http.request.resend_count": 1,
    });
    expect(JSON.stringify(spans)).not.toMatch(/T0K3N|pass/);
    expect(span?.resource).toMatchObject({ "service.name": "egret", "service.version": "1.2.3" });
  });

  test("keeps the share of the traces that begin here, and all that their callers keep", async () => {
    const { tracing } = open({ share: 0 });
    const own = tracing.command(undefined, { subject: "s", id: "1", bytes: 2 });
    const theirs = tracing.command(`00-${"a".repeat(32)}-${"b".repeat(16)}-01`, {
      subject: "s",
      id: "2",
      bytes: 2,
    });
    for (const span of [own, theirs]) span.end();
    await tracing.close();
    expect([flagsOf(own.traceparent), flagsOf(theirs.traceparent)]).toEqual(["00", "01"]);
    const traces = new Set(collector.spans.map(({ traceId }) => traceId));
    expect([traces.has(traceOf(own.traceparent)), traces.has("a".repeat(32))]).toEqual([false, true]);
  });

  test("says once that a collector refuses spans, and once that it takes them again", async () => {
    const { tracing, lines } = open();
    collector.answer(400);
    for (const id of ["1", "2"]) {
      const before = collector.requests.length;
      tracing.command(undefined, { subject: "s", id, bytes: 2 }).end();
      await collector.waitFor(() => collector.requests.length > before);
    }
    collector.answer(200);
    const last = tracing.command(undefined, { subject: "s", id: "3", bytes: 2 });
    last.end();
    await tracing.close();
    const messages = lines.map((line) => (JSON.parse(line) as { msg: string }).msg);
    expect(messages).toEqual(["tracing.export_failed", "tracing.export_works_again"]);
    expect(collector.spans.some(({ traceId }) => traceId === traceOf(last.traceparent))).toBe(true);
  });

  test("ends without an error when nobody takes the spans", async () => {
    const gone = await startCollector();
    await gone.close();
    const { tracing, lines } = open({ endpoint: `${gone.url}/` });
    tracing.command(undefined, { subject: "s", id: "1", bytes: 2 }).end();
    await tracing.close();
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(["tracing.export_failed"]);
  });
});

test("the tracing libraries are loaded by whoever exports only", async () => {
  const root = path.resolve(import.meta.dirname, "../..");
  const program = `
    const loaded = () => Object.keys(require("node:module")._cache).filter((file) => /@opentelemetry.(sdk|exporter|otlp)/.test(file)).length > 0;
    import("${root}/src/main.ts").then(async () => {
      const before = loaded();
      await import("${root}/src/runtime/telemetry/otelTracing.ts");
      console.log(JSON.stringify([before, loaded()]));
    });`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=commonjs", "-e", program]);
  expect(JSON.parse(stdout)).toEqual([false, true]);
});
