/** Runs the benchmarks and prints what they found; exits with 1 when a bar is missed, with 2 when one could not be run. */
import { mkdir } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { benchApi } from "./api.ts";
import { benchAppend } from "./append.ts";
import { benchBacklog } from "./backlog.ts";
import type { Benchmark, BenchOptions } from "./context.ts";
import { benchDelivery } from "./delivery.ts";
import { writeDocument } from "./document.ts";
import { benchIdle } from "./idle.ts";
import { benchIsolation } from "./isolation.ts";
import { benchKill } from "./kill.ts";
import { benchLatency } from "./latency.ts";
import { benchLateness } from "./lateness.ts";
import type { Measurement } from "./measurement.ts";
import { type BenchServers, openBenchServers } from "./servers.ts";
import { benchSync } from "./sync.ts";
import { benchSyncLarge, benchSyncNew } from "./syncNew.ts";
import { benchSyncRate } from "./syncRate.ts";
import { benchSyncRecords } from "./syncRecords.ts";
import { renderJson, renderTable } from "./table.ts";

const BENCHMARKS: Record<string, Benchmark> = {
  append: { run: benchAppend, about: "events into the log, against the client's own publish" },
  sync: { run: benchSync, about: "1,000,000 rows, 1 % changed and none, against the same by hand" },
  "sync-new": { run: benchSyncNew, about: "1,000,000 new rows, against the same by hand" },
  "sync-rate": {
    run: benchSyncRate,
    about: "changed rows at 1,000, 100 and 1 a request, against the same by hand",
  },
  "sync-records": { run: benchSyncRecords, about: "rows kept as they were sent, against none kept" },
  "sync-large": { run: benchSyncLarge, about: "memory for 5,000,000 new rows", isOnRequest: true },
  delivery: {
    run: benchDelivery,
    about: "lifecycle deliveries, against bare undici, pg-boss, graphile-worker",
  },
  latency: { run: benchLatency, about: "from an event's append to the first byte at the receiver" },
  lateness: { run: benchLateness, about: "1,000 retries due at once" },
  kill: { run: benchKill, about: "one of two workers killed with -9" },
  isolation: { run: benchIsolation, about: "one of 50 targets hangs for ever" },
  api: { run: benchApi, about: "requests a second of the management API, against a bare route" },
  idle: { run: benchIdle, about: "CPU of a process with nothing to do" },
  backlog: { run: benchBacklog, about: "1,000,000 deliveries wait for a dead target", isOnRequest: true },
};
const NAMES = Object.keys(BENCHMARKS);
/** Everything that does not take minutes by itself. */
const ALL = NAMES.filter((name) => BENCHMARKS[name]?.isOnRequest !== true);
/** What runs when nothing is named: under two minutes, so `delivery` in small rounds. */
const FIRST_LOOK = ["append", "delivery", "sync"];
const LIST = Object.entries(BENCHMARKS).map(
  ([name, { about, isOnRequest }]) =>
    `  ${name.padEnd(12)} ${about}${isOnRequest === true ? " (takes minutes: only when named)" : ""}`,
);

const HELP = `npm run bench [-- all | <name>… <options>]

Measures Egret against what the machine can do without it: reference and subject in turn, medians, its own servers.

${LIST.join("\n")}

Without a name: append, sync, and delivery in small rounds, in under two minutes. \`all\` takes about twelve.

  --quick          smaller rounds and fewer of them: a look, no figure to keep
  --cpu-prof <dir> CPU profiles of our processes during the rounds of \`delivery\` and \`sync\`
  --processes <n>  1 or 2: worker and projector together or apart in \`delivery\` (2)
  --json           one object a line: name, value, unit, reference, ratio, bar, pass
  --write          also puts the tables into docs/performance.md
  --help           this text

A ratio always reads "more is better". Exit code: 0 all bars met, 1 a bar missed, 2 could not be run.`;

interface Options extends BenchOptions {
  names: string[];
  isFirstLook: boolean;
  isJson: boolean;
  isWriting: boolean;
}

function readOptions(): Options | null {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: "string", multiple: true, default: [] },
      quick: { type: "boolean", default: false },
      "cpu-prof": { type: "string" },
      processes: { type: "string", default: "2" },
      json: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  const named = [...positionals, ...values.only];
  const isAll = named.length === 1 && named[0] === "all";
  const unknown = isAll ? undefined : named.find((name) => !Object.hasOwn(BENCHMARKS, name));
  if (unknown !== undefined)
    throw new Error(`there is no benchmark ${unknown}; known: all, ${NAMES.join(", ")}`);
  const isFirstLook = named.length === 0;
  const names = isAll ? ALL : isFirstLook ? FIRST_LOOK : named;
  if (values.write && (values.quick || isFirstLook || ALL.some((name) => !names.includes(name))))
    throw new Error("--write takes the whole table: npm run bench -- all --write, without --quick");
  if (values.processes !== "1" && values.processes !== "2") throw new Error("--processes takes 1 or 2");
  return {
    names,
    isFirstLook,
    isQuick: values.quick,
    profileDir: values["cpu-prof"] === undefined ? null : path.resolve(values["cpu-prof"]),
    processes: values.processes === "1" ? 1 : 2,
    isJson: values.json,
    isWriting: values.write,
  };
}

function machine({ versions }: BenchServers): string {
  const cores = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cores.length} cores (${cores[0]?.model.trim()}), ${memory} GB, Node ${process.versions.node}, ${versions}`;
}

async function main(options: Options): Promise<boolean> {
  const { names, isFirstLook, isQuick, isJson, isWriting, profileDir } = options;
  const started = performance.now();
  if (profileDir !== null) await mkdir(profileDir, { recursive: true });
  const servers = await openBenchServers();
  const measurements: Measurement[] = [];
  const notes: string[] = [];
  const note = (text: string) => void notes.push(text);
  try {
    for (const name of names) {
      if (process.stderr.isTTY) process.stderr.write(`${name} …\n`);
      const isSmall = isQuick || (isFirstLook && name === "delivery");
      const made = (await BENCHMARKS[name]?.run({ ...options, isQuick: isSmall, servers, note })) ?? [];
      // A process of a few seconds is judged by how fast it warms up: small rounds have no bar.
      const found = isSmall ? made.map((line) => ({ ...line, bar: null, pass: null })) : made;
      measurements.push(...found);
      if (isJson) for (const measurement of found) console.log(renderJson(measurement));
    }
    const seconds = Math.round((performance.now() - started) / 1000);
    const quick = isQuick
      ? "; --quick: small rounds, no figures to keep"
      : isFirstLook
        ? "; delivery in small rounds: a look, no figure to keep"
        : "";
    const where = `${machine(servers)}; measured in ${seconds} s${quick}`;
    const tables = [renderTable(measurements), ...notes].filter((text) => text !== "").join("\n\n");
    if (!isJson) console.log(`\n${where}\n\n${tables}`);
    if (isWriting) await writeDocument(`${where}.\n\n${tables}`);
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
