/** Shows what CPU each process took for a delivery, so that the dearest is seen at a glance. */
import type { CpuMs } from "./cpu.ts";
import { markdownTable } from "./table.ts";

/** What a contender did and used. */
export interface CpuRow {
  name: string;
  deliveries: number;
  wallMs: number;
  cpu: CpuMs;
}

const COLUMNS = ["sender", "projector", "nats-server", "Postgres", "sink", "bench"];

/** A table in Markdown under its title; empty where the kernel does not tell. */
export function cpuTable(title: string, rows: readonly CpuRow[]): string {
  const known = rows.filter(({ cpu }) => Object.keys(cpu).length > 0);
  if (known.length === 0) return "";
  const shown = COLUMNS.filter((column) => known.some(({ cpu }) => (cpu[column] ?? 0) > 0));
  const head = [title, ...shown, "all", "cores busy"];
  const body = known.map(({ name, deliveries, wallMs, cpu }) => {
    const each = (ms: number) => String(Math.round((ms * 1000) / deliveries));
    const all = Object.values(cpu).reduce((sum, ms) => sum + ms, 0);
    const cells = shown.map((column) => (cpu[column] === undefined ? "-" : each(cpu[column])));
    return [name].concat(cells, each(all), (all / wallMs).toFixed(2));
  });
  return markdownTable(head, body);
}
