/** Tells how many exchanges were lost on their way into Postgres. */
import { Counter, type Registry } from "prom-client";
import type { ExchangeStore } from "../../projections/exchangeStore.ts";

/** Registers `egret_exchanges_dropped_total`; documented in docs/metrics.md. */
export function registerExchangeMetrics(registry: Registry, store: Pick<ExchangeStore, "dropped">): void {
  const counter = new Counter({
    name: "egret_exchanges_dropped_total",
    help: "Requests and answers that were not kept for people to look at.",
    registers: [],
    collect() {
      this.reset();
      this.inc(store.dropped);
    },
  });
  registry.registerMetric(counter);
}
