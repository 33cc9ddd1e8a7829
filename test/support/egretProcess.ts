/** A whole Egret in a process of its own, which a test can kill as a crash would. */
import { type ChildProcess, fork } from "node:child_process";
import path from "node:path";
import { afterAll } from "vitest";
import type { EgretSettings } from "../../src/main.ts";
import { NODE_OPTIONS } from "./nodeOptions.ts";

/** A running Egret process. */
export interface EgretProcess {
  pid: number;
  /** Everything that it wrote so far: its log. */
  output(): string;
  /** kill -9; resolves when the process is gone. */
  kill9(): Promise<void>;
  /** SIGTERM; resolves to the exit code. */
  terminate(): Promise<number | null>;
}

const started: { child: ChildProcess; exited: Promise<number | null> }[] = [];

// Registered when a test file imports this one: a hook registered inside a test would never run.
afterAll(async () => {
  for (const { child } of started) child.kill("SIGKILL");
  await Promise.all(started.map(({ exited }) => exited));
});

/** Starts the process and resolves once its roles run. */
export async function startEgretProcess(settings: EgretSettings): Promise<EgretProcess> {
  const { logger: _inherited, ...plain } = settings;
  const child = fork(path.join(import.meta.dirname, "egretChild.ts"), {
    env: { ...process.env, EGRET_TEST_SETTINGS: JSON.stringify(plain) },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    execArgv: [...process.execArgv, ...NODE_OPTIONS],
  });
  const chunks: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => chunks.push(chunk));
  const output = () => Buffer.concat(chunks).toString();
  const exited = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  started.push({ child, exited });
  await readiness(child, exited, output);
  const end = (signal: NodeJS.Signals) => {
    child.kill(signal);
    return exited;
  };
  return {
    pid: child.pid ?? 0,
    output,
    kill9: async () => void (await end("SIGKILL")),
    terminate: () => end("SIGTERM"),
  };
}

function readiness(child: ChildProcess, exited: Promise<number | null>, output: () => string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("message", () => resolve());
    void exited.then((code) =>
      reject(new Error(`the process ended with ${code} before it was ready:\n${output()}`)),
    );
  });
}
