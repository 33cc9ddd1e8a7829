import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { registerExchangeMetrics } from "../../src/runtime/telemetry/exchangeMetrics.ts";

test("the counter says at each look how many exchanges the store has lost so far", async () => {
  const registry = new Registry();
  const store = { dropped: 0 };
  registerExchangeMetrics(registry, store);
  expect(await registry.metrics()).toContain("egret_exchanges_dropped_total 0");
  store.dropped = 7;
  expect(await registry.metrics()).toContain("egret_exchanges_dropped_total 7");
});
