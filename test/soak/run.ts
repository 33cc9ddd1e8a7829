/** `npm run soak`: runs the soak, shows its account, and exits with 1 when it does not add up, with 2 when it could not be run. */
import { readFile, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { WEBHOOK_RETRY_DELAYS_MS, WEBHOOK_TIMEOUT_MS } from "../../src/domain/retryPolicy.ts";
import { drawUp } from "./account.ts";
import { runSoak } from "./soak.ts";
import type { SoakOptions } from "./soakPlan.ts";
import { accountTable, describeSoak, progressLine } from "./soakReport.ts";

const HELP = `npm run soak [-- <options>]

Deliveries to webhooks that answer badly, while workers and servers are killed with -9; then everything is accounted for.

  --deliveries <n>             deliveries in all; 100000
  --targets <n>                webhooks, of which one is dead; 100
  --seconds-between-kills <s>  5
  --kills <n>                  kills in all, spread over the feed; as many as there is time for
  --schedule <s,s,…>           seconds before each retry; 4,8,16,32,64
  --timeout <s>                seconds that a receiver has to answer; 10
  --rate <n>                   deliveries created per second at most; no bound
  --outstanding <n>            deliveries that have not ended, at most; 20000
  --concurrency <n>            deliveries under way in each of the two processes; 300
  --seed <n>                   what every answer follows from; 1
  --json                       the account as one JSON object
  --write                      also puts the account into docs/soak.md
  --help                       this text

Exit code: 0 it adds up, 1 it does not, 2 it could not be run, 130 interrupted.`;

const DOCUMENT = path.resolve(import.meta.dirname, "../../docs/soak.md");
const BEGIN = "<!-- soak:begin -->";
const END = "<!-- soak:end -->";
const INTERRUPTED = 130;

interface Invocation {
  options: SoakOptions;
  json: boolean;
  write: boolean;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new Error(`--${name} must be a number above 0: ${text}`);
  return value;
}

function readInvocation(): Invocation | null {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    options: {
      deliveries: { ...text, default: "100000" },
      targets: { ...text, default: "100" },
      "seconds-between-kills": { ...text, default: "5" },
      kills: text,
      schedule: { ...text, default: WEBHOOK_RETRY_DELAYS_MS.map((delayMs) => delayMs / 1_000).join(",") },
      timeout: { ...text, default: String(WEBHOOK_TIMEOUT_MS / 1_000) },
      rate: text,
      outstanding: { ...text, default: "20000" },
      concurrency: { ...text, default: "300" },
      seed: { ...text, default: "1" },
      json: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  const whole = (name: "deliveries" | "targets" | "outstanding" | "concurrency") =>
    Math.ceil(positive(name, values[name]));
  const ms = (name: string, value: string) => Math.round(positive(name, value) * 1_000);
  return {
    json: values.json,
    write: values.write,
    options: {
      deliveries: whole("deliveries"),
      targets: Math.max(2, whole("targets")),
      seed: positive("seed", values.seed),
      scheduleMs: values.schedule.split(",").map((value) => ms("schedule", value)),
      timeoutMs: ms("timeout", values.timeout),
      failing: 0.2,
      hanging: 0.05,
      secondsBetweenKills: positive("seconds-between-kills", values["seconds-between-kills"]),
      kills: values.kills === undefined ? null : Number(values.kills),
      ratePerSecond: values.rate === undefined ? null : positive("rate", values.rate),
      outstanding: whole("outstanding"),
      concurrency: whole("concurrency"),
    },
  };
}

function machine(): string {
  const cores = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cores.length} cores (${cores[0]?.model.trim()}), ${memory} GB, Node ${process.versions.node}.`;
}

async function writeDocument(result: string): Promise<void> {
  const document = await readFile(DOCUMENT, "utf8");
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`docs/soak.md has no place between ${BEGIN} and ${END}`);
  await writeFile(DOCUMENT, `${document.slice(0, begin + BEGIN.length)}\n${result}\n${document.slice(end)}`);
}

async function main({ options, json, write }: Invocation): Promise<number> {
  const interrupt = new AbortController();
  process.once("SIGINT", () => interrupt.abort(new Error("interrupted")));
  process.once("SIGTERM", () => interrupt.abort(new Error("told to end")));
  process.stderr.write(`${describeSoak(options)}\n`);
  try {
    const evidence = await runSoak({
      options,
      signal: interrupt.signal,
      onProgress: (progress) => void process.stderr.write(`${progressLine(progress, options.deliveries)}\n`),
    });
    const account = drawUp(evidence);
    const table = accountTable(account);
    process.stdout.write(json ? `${JSON.stringify({ options, ...account })}\n` : `\n${table}\n`);
    if (write) await writeDocument(`${machine()} ${describeSoak(options)}\n\n${table}`);
    return account.ok ? 0 : 1;
  } catch (error) {
    if (interrupt.signal.aborted) return INTERRUPTED;
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return 2;
  }
}

try {
  const invocation = readInvocation();
  if (invocation === null) process.stdout.write(`${HELP}\n`);
  else process.exitCode = await main(invocation);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
