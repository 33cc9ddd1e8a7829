/** Runs `egret` as a child process, with an environment that says nothing but what the test says. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import path from "node:path";
import type { Readable } from "node:stream";
import { onTestFinished } from "vitest";
import { natsUrl, streamPrefix, testDatabase } from "./namespace.ts";

const PROGRAM = path.resolve(import.meta.dirname, "../../src/cli/egret.ts");
/** Half of what a short command takes is reading and compiling its files: of all processes one does it, and for all runs. */
const COMPILE_CACHE = path.resolve(import.meta.dirname, "../../node_modules/.cache/egret-cli");

/** How a command ended, and what it wrote. */
export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A command that still runs. */
export interface RunningCli {
  child: ChildProcessByStdio<null, Readable, Readable>;
  /** Resolves with everything written once standard output matches; rejects when the command ends first. */
  waitFor(pattern: RegExp): Promise<string>;
  ended: Promise<CliResult>;
}

/** Starts a command; it is killed with the test. */
export function startCli(args: readonly string[], env: Record<string, string> = {}): RunningCli {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(EGRET_|NO_COLOR|FORCE_COLOR)/.test(name),
  );
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...Object.fromEntries(inherited), ...env },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let stdout = "";
  let stderr = "";
  const watchers = new Set<() => void>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    for (const look of watchers) look();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<CliResult>((resolve) => {
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
  return {
    child,
    ended,
    waitFor: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!pattern.test(stdout)) return;
          watchers.delete(look);
          resolve(stdout);
        };
        watchers.add(look);
        look();
        void ended.then((result) => reject(new Error(`egret ended with ${result.code}: ${result.stderr}`)));
      }),
  };
}

/** Runs a command to its end. */
export function runCli(args: readonly string[], env: Record<string, string> = {}): Promise<CliResult> {
  return startCli(args, env).ended;
}

/** The environment of an installation of this test file's own: a migrated database, a stream prefix, a key. */
export async function ownInstallation(): Promise<Record<string, string>> {
  const { url } = await testDatabase({ migrated: true });
  return {
    EGRET_DATABASE_URL: url,
    EGRET_NATS_URL: natsUrl(),
    EGRET_STREAM_PREFIX: streamPrefix(),
    EGRET_SECRET_KEY: randomBytes(32).toString("base64"),
    EGRET_STREAM_MAX_BYTES: String(64 * 1_048_576),
    EGRET_HTTP_PORT: "0",
    EGRET_ALLOW_HTTP: "true",
  };
}
