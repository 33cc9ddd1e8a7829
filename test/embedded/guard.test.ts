import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { startGuarded } from "../../src/embedded/guard.ts";
import { isAlive, waitUntilGone } from "../../src/embedded/processes.ts";
import { temporaryFolder } from "./temporaryFolder.ts";

const sh = (script: string) => ({ command: "/bin/sh", args: ["-c", script], stopSignal: "SIGTERM" as const });

describe("a guarded server", () => {
  test("runs under the pid that is told, and ends on its stop signal", async () => {
    const server = await startGuarded({ command: "sleep", args: ["60"], stopSignal: "SIGTERM" });
    expect(isAlive(server.pid)).toBe(true);

    expect(await server.stop()).toEqual({ code: null, signal: "SIGTERM" });
    expect(isAlive(server.pid)).toBe(false);
  });

  test("tells the code it ends with by itself, and its last words", async () => {
    const server = await startGuarded(sh("echo out of luck >&2; exit 7"));

    expect(await server.exited).toEqual({ code: 7, signal: null });
    expect(server.stderrTail()).toBe("out of luck");
    expect(await server.stop()).toEqual({ code: 7, signal: null });
  });

  test("tells the signal that killed it", async () => {
    const server = await startGuarded({ command: "sleep", args: ["60"], stopSignal: "SIGTERM" });

    expect(await server.stop("SIGKILL")).toEqual({ code: null, signal: "SIGKILL" });
  });

  test("reports a program that does not exist", async () => {
    const server = await startGuarded({ command: "/nowhere/server", args: [], stopSignal: "SIGTERM" });

    expect((await server.exited).code).toBe(127);
    expect(server.stderrTail()).toContain("/nowhere/server");
  });

  test("stays out of the parent's process group, so that Ctrl-C leaves it alone", async () => {
    const server = await startGuarded({ command: "sleep", args: ["60"], stopSignal: "SIGTERM" });
    onTestFinished(() => server.stop().then(() => {}));

    expect(await processGroup(server.pid)).not.toBe(await processGroup(process.pid));
  });

  test("is stopped with its guard when the parent is killed with -9", async () => {
    const folder = await temporaryFolder();
    const program = path.join(folder, "parent.ts");
    const guard = pathToFileURL(path.resolve(import.meta.dirname, "../../src/embedded/guard.ts")).href;
    await writeFile(
      program,
      `import { startGuarded } from ${JSON.stringify(guard)};
       const server = await startGuarded({ command: "sleep", args: ["60"], stopSignal: "SIGTERM" });
       process.stdout.write(server.pid + "\\n");
       setInterval(() => {}, 1000);`,
    );
    const parent = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
    const pid = Number(await firstLine(parent.stdout));
    const guardPid = Number((await statFields(pid))[1]);
    expect(isAlive(pid)).toBe(true);

    parent.kill("SIGKILL");

    expect(await waitUntilGone(pid, 10_000)).toBe(true);
    expect(await waitUntilGone(guardPid, 10_000)).toBe(true);
  });
});

async function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  for await (const chunk of stream) return String(chunk).trim();
  return "";
}

async function processGroup(pid: number): Promise<string | undefined> {
  return (await statFields(pid))[2];
}

/** State, parent, process group and so on: what follows the name in brackets. */
async function statFields(pid: number): Promise<string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}
