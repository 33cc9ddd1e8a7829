import { randomBytes } from "node:crypto";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AnyEvent } from "../../src/domain/event.ts";
import { follow } from "../../src/log/follow.ts";
import type { RunningEgret } from "../../src/main.ts";
import { signBody } from "../../src/security/signature.ts";
import { type CollectedSpan, type Collector, startCollector } from "../support/collector.ts";
import { type AppliedYaml, applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const ROW_VALUE = "ROWVALUE-1815";
const IN_PATH = "PATHSECRET-1815";
const warehouse = await testDatabase();
const collector: Collector = await startCollector();
const traced: TestEgret = await testEgret({ tracing: { endpoint: collector.url, share: 1 } });
const plain: TestEgret = await testEgret();

/** One Egret's receivers and what was applied. */
interface World {
  egret: TestEgret;
  destination: Receiver;
  subscriber: Receiver;
  applied: AppliedYaml;
}
let withTraces: World;
let withoutTraces: World;

beforeAll(async () => {
  const source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(
    `create table people (id text, name text); insert into people values ('1', '${ROW_VALUE}')`,
  );
  await source.end();
  withTraces = await openWorld(traced);
  withoutTraces = await openWorld(plain);
});

afterAll(async () => {
  for (const { destination, subscriber } of [withTraces, withoutTraces]) {
    await destination.close();
    await subscriber.close();
  }
  await collector.close();
});

async function openWorld(egret: TestEgret): Promise<World> {
  const [destination, subscriber] = await Promise.all([startReceiver(), startReceiver()]);
  const applied = await applyYaml(
    egret,
    `
workspace: demo
sources:
  warehouse: { type: postgres, url: "${warehouse.url}" }
destinations:
  ops: { type: webhook, url: "${destination.url}/${IN_PATH}", rate_limit_per_second: 1000, signing_secret: s1gn }
syncs:
  people_to_ops: { source: warehouse, table: public.people, destination: ops, key: id }
webhooks:
  pager: { endpoint: "${subscriber.url}/${IN_PATH}?token=${IN_PATH}" }
`,
  );
  return { egret, destination, subscriber, applied };
}

const newParent = (isSampled = true) => {
  const [traceId, spanId] = [randomBytes(16).toString("hex"), randomBytes(8).toString("hex")];
  return { traceId, spanId, header: `00-${traceId}-${spanId}-0${isSampled ? 1 : 0}` };
};
const spanIdOf = (traceparent: unknown) => String(traceparent).split("-")[2];
const FULL = { sync: "people_to_ops", force_full_sync: true };

/** Delivery events of a run until all five of its deliveries have ended. */
async function deliveryEvents({ services }: Pick<RunningEgret, "services">, runId: number) {
  const events: AnyEvent[] = [];
  const ended = () => events.filter(({ type }) => type === "delivery.delivered").length;
  const options = { fromSequence: 1, maxBatch: 100, signal: AbortSignal.timeout(60_000) };
  for await (const batch of follow(services.connection, "deliveries", options)) {
    events.push(
      ...batch
        .map(({ event }) => event)
        .filter(({ data }) => "sync_run_id" in data && data.sync_run_id === runId),
    );
    if (ended() === 5) return events;
  }
  throw new Error(`only ${ended()} deliveries have ended`);
}

describe("with a collector configured", () => {
  test("one trace leads from the command over run, phases and deliveries to every attempt and its receiver", async () => {
    const { egret, destination, subscriber, applied } = withTraces;
    const parent = newParent();
    subscriber.behave((_request, attempt) => ({ status: attempt === 1 ? 503 : 200 }));
    const { runId, events } = await triggerAndWait(egret, FULL, { traceparent: parent.header });
    const deliveries = await deliveryEvents(egret, runId);
    const ofTrace = () => collector.spans.filter(({ traceId }) => traceId === parent.traceId);
    await collector.waitFor(() => ofTrace().filter(({ name }) => name === "POST").length === 6);
    await collector.waitFor(() => ofTrace().some(({ name }) => name === "sync run"));
    const spans = ofTrace();
    const one = (name: string) => {
      const found = spans.filter((span) => span.name === name);
      expect([name, found.length]).toEqual([name, 1]);
      return found[0] as CollectedSpan;
    };

    const command = one("process sync.trigger");
    expect([command.kind, command.parentSpanId]).toEqual([5, parent.spanId]);
    expect(command.attributes).toMatchObject({ "messaging.system": "nats", "egret.run.id": runId });
    const run = one("sync run");
    expect([run.kind, run.parentSpanId]).toEqual([5, command.spanId]);
    expect(spanIdOf(events[0]?.traceparent)).toBe(command.spanId);
    const phases = ["start", "check", "snapshot", "plan", "load", "commit", "conclude"].map((step) =>
      one(`run ${step}`),
    );
    expect(phases.map(({ parentSpanId }) => parentSpanId)).toEqual(phases.map(() => run.spanId));
    expect(events.slice(1).map(({ traceparent }) => spanIdOf(traceparent))).toEqual(
      phases.map(({ spanId }) => spanId),
    );

    const sent = spans.filter(({ name }) => name === "send delivery");
    const created = deliveries.filter(({ type }) => type === "delivery.pending");
    expect(new Set(sent.map(({ spanId }) => spanId))).toEqual(
      new Set(created.map(({ traceparent }) => spanIdOf(traceparent))),
    );
    const batch = sent.find(({ attributes }) => attributes["egret.target.kind"] === "destination");
    expect([batch?.kind, batch?.parentSpanId]).toEqual([4, one("run load").spanId]);
    const causes = ["process sync.trigger", "run start", "run commit", "run conclude"].map(
      (name) => one(name).spanId,
    );
    const notices = sent.filter((span) => span !== batch).map(({ parentSpanId }) => parentSpanId);
    expect(new Set(notices)).toEqual(new Set(causes));

    const attempts = spans.filter(({ name }) => name === "POST");
    const requests = [...destination.requests, ...subscriber.requests];
    expect(new Set(requests.map(({ headers }) => headers["traceparent"]))).toEqual(
      new Set(attempts.map(({ spanId }) => `00-${parent.traceId}-${spanId}-01`)),
    );
    expect(requests).toHaveLength(6);
    for (const attempt of attempts) {
      const delivery = sent.find(({ spanId }) => spanId === attempt.parentSpanId);
      expect(attempt.attributes["egret.delivery.id"]).toBe(delivery?.attributes["egret.delivery.id"]);
      expect(attempt.kind).toBe(3);
      expect(attempt.startMs).toBeLessThanOrEqual(attempt.endMs);
    }
    const outcomes = deliveries.filter(({ type }) => type !== "delivery.pending");
    expect(new Set(outcomes.map(({ traceparent }) => spanIdOf(traceparent)))).toEqual(
      new Set(attempts.map(({ spanId }) => spanId)),
    );

    const failed = attempts.find(({ statusCode }) => statusCode === 2);
    expect(failed?.attributes).toMatchObject({
      "error.type": "503",
      "http.request.method": "POST",
      "http.response.status_code": 503,
      "server.address": "127.0.0.1",
      "server.port": Number(new URL(subscriber.url).port),
      "url.scheme": "http",
      "egret.outcome": "failed",
      "egret.delivery.state": "retrying",
    });
    const again = attempts.find(({ attributes }) => attributes["http.request.resend_count"] === 1);
    expect([again?.parentSpanId, again?.statusCode]).toEqual([failed?.parentSpanId, 0]);

    // The same bytes are signed as without a trace, and nothing of it is in them.
    for (const { headers, body } of subscriber.requests) {
      expect(headers["x-signature"]).toBe(signBody(applied.secrets.get("pager") ?? "", body));
    }
    for (const { body } of requests) expect(body.toString()).not.toContain(parent.traceId);
    // No row, no path, no secret (I11).
    expect(JSON.stringify(spans)).toContain('"service.name":"egret"');
    for (const secret of [ROW_VALUE, IN_PATH, "s1gn", applied.secrets.get("pager") ?? ""])
      expect(JSON.stringify(spans)).not.toContain(secret);
    expect(new Set(collector.requests.map(({ path, contentType }) => `${path} ${contentType}`))).toEqual(
      new Set(["/v1/traces application/json"]),
    );
  });

  test("a trace that its caller does not sample is handed on and not exported", async () => {
    const { egret, destination, subscriber } = withTraces;
    const parent = newParent(false);
    const before = [destination.requests.length, subscriber.requests.length] as const;
    const { runId } = await triggerAndWait(egret, FULL, { traceparent: parent.header });
    await deliveryEvents(egret, runId);
    const requests = [...destination.requests.slice(before[0]), ...subscriber.requests.slice(before[1])];
    expect(requests).toHaveLength(5);
    for (const { headers } of requests)
      expect(headers["traceparent"]).toMatch(new RegExp(`^00-${parent.traceId}-[0-9a-f]{16}-00$`));

    // What ends later is exported later: once its spans are there, none of the other trace can come any more.
    const refused = newParent();
    await triggerAndWait(egret, { sync: "nosuch" }, { traceparent: refused.header });
    await collector.waitFor((spans) => spans.some(({ traceId }) => traceId === refused.traceId));
    expect(collector.spans.filter(({ traceId }) => traceId === parent.traceId)).toEqual([]);
    const refusal = collector.spans.find(({ traceId }) => traceId === refused.traceId);
    expect([refusal?.statusCode, refusal?.attributes["error.type"]]).toEqual([2, "UNKNOWN_SYNC"]);
  });

  test("a command without a trace begins one", async () => {
    const { egret } = withTraces;
    const { runId, events } = await triggerAndWait(egret, FULL);
    const ofRun = () =>
      collector.spans.filter(
        ({ name, attributes }) => name === "POST" && attributes["egret.run.id"] === runId,
      );
    await collector.waitFor(() => ofRun().length === 5);
    const [traceId] = new Set(ofRun().map((span) => span.traceId));
    expect(events[0]?.traceparent).toContain(traceId);
    const root = collector.spans.find((span) => span.traceId === traceId && span.parentSpanId === undefined);
    expect(root?.name).toBe("process sync.trigger");
  });
});

describe("without a collector", () => {
  test("a trace is handed on through events to requests as it came, and nothing is exported", async () => {
    const { egret, destination, subscriber } = withoutTraces;
    const parent = newParent();
    const { runId, events } = await triggerAndWait(egret, FULL, { traceparent: parent.header });
    const deliveries = await deliveryEvents(egret, runId);
    const requests = [...destination.requests, ...subscriber.requests];
    const seen = [
      ...[...events, ...deliveries].map(({ traceparent }) => traceparent),
      ...requests.map(({ headers }) => headers["traceparent"]),
    ];
    expect(requests).toHaveLength(5);
    expect(new Set(seen)).toEqual(new Set([parent.header]));
    expect(collector.spans.filter(({ traceId }) => traceId === parent.traceId)).toEqual([]);
  });

  test("what is no traceparent goes nowhere", async () => {
    const { egret, subscriber } = withoutTraces;
    const before = subscriber.requests.length;
    const { runId, events } = await triggerAndWait(egret, FULL, { traceparent: "00-evil" });
    const deliveries = await deliveryEvents(egret, runId);
    for (const event of [...events, ...deliveries]) expect(event).not.toHaveProperty("traceparent");
    for (const { headers } of subscriber.requests.slice(before))
      expect(headers).not.toHaveProperty("traceparent");
  });
});
