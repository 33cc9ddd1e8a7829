/** Runs the benchmarks and prints what they found; exits with 1 when a bar is missed, with 2 when one could not be run. */
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { benchAppend } from "./append.ts";
import { benchDelivery } from "./delivery.ts";
import { writeDocument } from "./document.ts";
import type { Measurement } from "./measurement.ts";
import { type BenchServers, openBenchServers } from "./servers.ts";
import { benchSync } from "./sync.ts";
import { renderJson, renderTable } from "./table.ts";

const BENCHMARKS: Record<string, (servers: BenchServers) => Promise<Measurement[]>> = {
  append: benchAppend,
  delivery: benchDelivery,
  sync: benchSync,
};
const KNOWN = Object.keys(BENCHMARKS).join(", ");

const HELP = `npm run bench [-- <options>]

Measures Egret against what the machine can do without it: reference and subject in turn, medians, its own servers.

  --only <name>  one benchmark: ${KNOWN}; may be repeated
  --json         one object a line: name, value, unit, reference, ratio, bar, pass
  --write        also puts the table into docs/performance.md
  --help         this text

A ratio always reads "more is better". Exit code: 0 all bars met, 1 a bar missed, 2 could not be run.`;

interface Options {
  names: string[];
  json: boolean;
  write: boolean;
}

function readOptions(): Options | null {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true },
      json: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  const names = values.only ?? Object.keys(BENCHMARKS);
  const unknown = names.find((name) => !Object.hasOwn(BENCHMARKS, name));
  if (unknown !== undefined) throw new Error(`there is no benchmark ${unknown}; known: ${KNOWN}`);
  if (values.write && values.only !== undefined)
    throw new Error("--write takes the whole table: leave --only out");
  return { names, json: values.json, write: values.write };
}

function machine({ versions }: BenchServers): string {
  const cores = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cores.length} cores (${cores[0]?.model.trim()}), ${memory} GB, Node ${process.versions.node}, ${versions}`;
}

async function main(options: Options): Promise<boolean> {
  const started = performance.now();
  const servers = await openBenchServers();
  const measurements: Measurement[] = [];
  try {
    for (const name of options.names) {
      if (process.stderr.isTTY) process.stderr.write(`${name} …\n`);
      const found = (await BENCHMARKS[name]?.(servers)) ?? [];
      measurements.push(...found);
      if (options.json) for (const measurement of found) console.log(renderJson(measurement));
    }
    const seconds = Math.round((performance.now() - started) / 1000);
    const where = `${machine(servers)}; measured in ${seconds} s`;
    if (!options.json) console.log(`\n${where}\n\n${renderTable(measurements)}`);
    if (options.write) await writeDocument(`${where}.\n\n${renderTable(measurements)}`);
  } finally {
    await servers.close();
  }
  return measurements.every(({ pass }) => pass !== false);
}

try {
  const options = readOptions();
  if (options === null) console.log(HELP);
  else process.exitCode = (await main(options)) ? 0 : 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  if (error instanceof Error && error.cause !== undefined) console.error(error.cause);
  process.exitCode = 2;
}
