/** A destination that is down for longer than anybody tries: what its runs say, and what the next run makes of it. */
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Answer, type Receiver, startReceiver } from "../support/receiver.ts";
import { expectLifecycle, expectSameRepeats } from "../support/receiverModel.ts";

// Seven waits as there are, and each of them short: how long they are is tested by itself.
vi.mock("../../src/domain/retryPolicy.ts", async (original) => ({
  ...(await original<object>()),
  destinationDelayMs: () => 5,
}));

const ATTEMPTS = 8;
const ROWS = 6;
const warehouse = await testDatabase();
const egret: TestEgret = await testEgret();
let source: Client;
let receiver: Receiver;

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(
    `create table people as select n as id, 'n' || n as name from generate_series(1, ${ROWS}) n`,
  );
  receiver = await startReceiver();
  await applyYaml(
    egret,
    `
workspace: demo
sources: { db: { type: postgres, url: "${warehouse.url}" } }
destinations:
  ops: { type: webhook, url: "${receiver.url}/rows", batch_size: 2, parallel_requests: 1, rate_limit_per_second: null }
syncs:
  people: { source: db, table: public.people, destination: ops, key: id }
`,
  );
});
beforeEach(() => source.query("update people set name = name || '!'"));
afterAll(async () => {
  await source.end();
  await receiver.close();
});

const idsOf = ({ body }: { body: Buffer }) =>
  (JSON.parse(body.toString()) as { data: { unique_id: number }[] }).data.map(({ unique_id }) => unique_id);

/** A run against a destination that answers the requests with these rows in this way, whenever they come. */
async function run(answer: Answer = {}, isHit: (ids: number[]) => boolean = () => true) {
  const before = receiver.requests.length;
  receiver.behave((request) => (isHit(idsOf(request)) ? answer : {}));
  const { events } = await triggerAndWait(egret, { sync: "people" });
  const requests = receiver.requests.slice(before);
  const hit = requests.filter((request) => isHit(idsOf(request)));
  const completed = events.find(({ type }) => type === "sync.completed")?.data;
  return { events, completed, requests, hit };
}

describe("a destination that stays down", () => {
  test.each<[string, Answer, string, RegExp]>([
    ["answers HTTP 503", { status: 503, body: "s3cret row" }, "DESTINATION_SERVER_ERROR", /HTTP 503/],
    ["breaks off", { reset: true }, "DESTINATION_CONNECTION_FAILED", /cannot be reached/],
  ])("and %s fails the run after seven retries, and keeps what it took before", async (...kind) => {
    const [, answer, code, words] = kind;
    const { events, completed, hit } = await run(answer, (ids) => ids.includes(5));
    expectLifecycle(events, "sync.failed");
    expect(completed).toMatchObject({
      status: "emergency",
      error_code: code,
      error_message: expect.stringMatching(words) as string,
      records_processed: 4,
      records_updated: 4,
      records_failed: 0,
    });
    expect(JSON.stringify(events)).not.toContain("s3cret");
    // One request and its repeats, to the byte and under one key.
    expect(hit).toHaveLength(ATTEMPTS);
    expect(expectSameRepeats(hit)).toBe(ATTEMPTS - 1);

    const next = await run();
    expectLifecycle(next.events, "sync.success");
    expect(next.requests.flatMap(idsOf)).toEqual([5, 6]);
  });

  test("and answers HTTP 429 has its rows rejected after seven retries, and the run completes", async () => {
    const { events, completed, hit } = await run({ status: 429 }, (ids) => ids.includes(5));
    expectLifecycle(events, "sync.success");
    expect(completed).toMatchObject({ records_processed: 6, records_updated: 4, records_failed: 2 });
    expect(hit).toHaveLength(ATTEMPTS);
    expect((await run()).requests.flatMap(idsOf)).toEqual([5, 6]);
  });

  test("until the last retry has lost nothing, and the run is as if nothing had been", async () => {
    const attempts = new Map<string, number>();
    receiver.behave(({ headers }) => {
      const key = String(headers["idempotency-key"]);
      attempts.set(key, (attempts.get(key) ?? 0) + 1);
      return (attempts.get(key) ?? 0) < ATTEMPTS ? { status: 500 } : {};
    });
    const { events } = await triggerAndWait(egret, { sync: "people" });
    expectLifecycle(events, "sync.success");
    expect([...attempts.values()]).toEqual([ATTEMPTS, ATTEMPTS, ATTEMPTS]);
  });
});
