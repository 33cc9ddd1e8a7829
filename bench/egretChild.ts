/** The program under test: Egret with its log lines on, at work in the roles that the bench asks for. */
import { readFile, writeFile } from "node:fs/promises";
import { Session } from "node:inspector/promises";
import { openLogger } from "../src/logger.ts";
import { type RunningEgret, startEgret } from "../src/main.ts";
import { answerMessages } from "./childMessages.ts";
import type { BenchSettings, EgretQuestion } from "./egret.ts";

const settings = JSON.parse(process.env["EGRET_BENCH_SETTINGS"] ?? "{}") as BenchSettings;
const logger = openLogger({ level: "info", pretty: false });
let running: RunningEgret | null = null;
let profiler: Session | null = null;

/** Most memory that this process ever had, bytes. */
async function peakMemory(): Promise<number> {
  // The kernel's own high-water mark; resourceUsage would also count what our parent held when it forked us.
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const kilobytes = /VmHWM:\s*(\d+) kB/.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
  return Number(kilobytes) * 1024;
}

/** Begins to profile without a file, writes what was seen with one. */
async function profile(file: string | null): Promise<void> {
  if (file === null) {
    profiler = new Session();
    profiler.connect();
    await profiler.post("Profiler.enable");
    await profiler.post("Profiler.start");
    return;
  }
  const { profile: seen } = (await profiler?.post("Profiler.stop")) ?? { profile: {} };
  profiler?.disconnect();
  profiler = null;
  await writeFile(file, JSON.stringify(seen));
}

async function stop(): Promise<void> {
  const stopping = running;
  running = null;
  await stopping?.close();
}

answerMessages(async (question: EgretQuestion): Promise<object> => {
  switch (question.kind) {
    case "start":
      running = await startEgret({ ...settings, roles: question.roles, logger });
      return { url: running.url };
    case "stop":
      await stop();
      return {};
    case "peak":
      return { peakBytes: await peakMemory() };
    case "profile":
      await profile(question.file);
      return {};
  }
}, stop);
