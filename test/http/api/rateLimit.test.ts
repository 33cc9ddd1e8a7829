/** How many requests the management API takes of one token, and of one address without a good token. */
import { beforeAll, describe, expect, test } from "vitest";
import { askApi, type TestApi, testApi } from "../../support/api.ts";
import { type TestEgret, testEgret } from "../../support/egret.ts";

let egret: TestEgret;
let api: TestApi;
let other: TestApi;

beforeAll(async () => {
  egret = await testEgret({ roles: ["api"], apiRequestsPerSecond: 1 });
  api = await testApi(egret);
  other = await testApi(egret);
});

/** The first answer with this status. */
async function until(status: number, ask: () => ReturnType<TestApi["get"]>, most: number) {
  for (let count = 0; count < most; count += 1) {
    const answer = await ask();
    if (answer.status === status) return answer;
  }
  throw new Error(`no answer with ${status} in ${most} requests`);
}

describe("a token", () => {
  test("that asks too often is told when to go on, and others are not held to it", async () => {
    expect((await api.get("/workspace")).status).toBe(200);
    const { headers, body } = await until(429, () => api.get("/workspace"), 500);
    expect(Number(headers.get("Retry-After"))).toBeGreaterThanOrEqual(1);
    expect(Number.isInteger(Number(headers.get("Retry-After")))).toBe(true);
    expect(body).toMatchObject({ status: "error", code: 429 });
    expect((await other.get("/workspace")).status).toBe(200);
  });
});

describe("an address without a good token", () => {
  test("is slowed down, while good tokens from there go on", async () => {
    const ask = () => askApi(egret.url, `secret-token:${"A".repeat(43)}`, { path: "/workspace" });
    const { headers } = await until(429, ask, 2_000);
    expect(Number(headers.get("Retry-After"))).toBeGreaterThanOrEqual(1);
    const fresh = await testApi(egret);
    expect((await fresh.get("/workspace")).status).toBe(200);
  });
});
