/** The registry of a process, with what every process shows: itself. */
import { collectDefaultMetrics, Gauge, Registry } from "prom-client";

/** Opens the registry of a process of that version and with those roles. */
export function openRegistry({ version, roles }: { version: string; roles: readonly string[] }): Registry {
  const registry = new Registry();
  // Finer, and measuring the event loop would be most of what an idle process does.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 200 });
  const info = new Gauge({
    name: "egret_build_info",
    help: "Always 1: which version runs here, with which roles.",
    labelNames: ["version", "roles"],
    registers: [registry],
  });
  info.set({ version, roles: [...roles].sort().join(",") }, 1);
  return registry;
}
