/** What a destination may be asked at once, and in a second, as the receiver sees it: all syncs to it together. */
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type ReceivedRequest, type Receiver, startReceiver } from "../support/receiver.ts";

const AT_ONCE = 3;
const PER_SECOND = 5;
const ROWS = 12;

const warehouse = await testDatabase();
const egret: TestEgret = await testEgret();
let source: Client;
let receiver: Receiver;
let underWay = 0;
let most = 0;
const failed = new Set<string>();

/** Nobody is answered before as many ask as may; the first row of each run fails once, where retries are to be counted. */
async function answer({ path, body, headers }: ReceivedRequest): Promise<{ status?: number }> {
  if (path === "/narrow") {
    underWay += 1;
    most = Math.max(most, underWay);
    await vi.waitUntil(() => most >= AT_ONCE, { timeout: 30_000, interval: 5 });
    // For one more to come, if it may.
    await new Promise((resolve) => setTimeout(resolve, 30));
    underWay -= 1;
    return {};
  }
  const key = String(headers["idempotency-key"]);
  if (!body.includes('"unique_id":1}') || failed.has(key)) return {};
  failed.add(key);
  return { status: 503 };
}

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(`create table people as select n as id from generate_series(1, ${ROWS}) n`);
  receiver = await startReceiver(answer);
  const to = (destination: string) =>
    `{ source: db, table: public.people, destination: ${destination}, key: id }`;
  await applyYaml(
    egret,
    `
workspace: demo
sources: { db: { type: postgres, url: "${warehouse.url}" } }
destinations:
  narrow: { type: webhook, url: "${receiver.url}/narrow", parallel_requests: ${AT_ONCE}, rate_limit_per_second: null }
  paced: { type: webhook, url: "${receiver.url}/paced", parallel_requests: 20, rate_limit_per_second: ${PER_SECOND} }
syncs:
  narrow_a: ${to("narrow")}
  narrow_b: ${to("narrow")}
  paced_a: ${to("paced")}
  paced_b: ${to("paced")}
`,
  );
});
afterAll(async () => {
  await source.end();
  await receiver.close();
});

const sentTo = (path: string) => receiver.requests.filter((request) => request.path === path);

describe("a destination", { concurrent: false }, () => {
  test("has as many requests under way as it takes at once, and never more, over all its syncs", async () => {
    await Promise.all(["narrow_a", "narrow_b"].map((sync) => triggerAndWait(egret, { sync })));
    expect(sentTo("/narrow")).toHaveLength(2 * ROWS);
    expect(most).toBe(AT_ONCE);
  });

  test("gets a second's worth at once and then its rate, over all its syncs, retries counted", async () => {
    await Promise.all(["paced_a", "paced_b"].map((sync) => triggerAndWait(egret, { sync })));
    const times = sentTo("/paced").map(({ at }) => at);
    expect(times).toHaveLength(2 * ROWS + 2);
    const tookMs = (times.at(-1) ?? 0) - (times[0] ?? 0);
    // What is beyond the first second's worth takes its time; a slow machine makes it longer, and half a second shorter.
    expect(tookMs).toBeGreaterThanOrEqual((1_000 * (times.length - PER_SECOND)) / PER_SECOND - 500);
  });
});
