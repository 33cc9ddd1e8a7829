/** `bin/egret`, the file that people's shells start. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, "../..");

async function version(env: Record<string, string>): Promise<string> {
  const { NODE_COMPILE_CACHE: _ours, ...inherited } = process.env;
  const { stdout } = await run(path.join(root, "bin/egret"), ["--version"], {
    env: { ...inherited, ...env },
  });
  return stdout.trim();
}

test("says its version, and keeps what was compiled for the next command where it is told to", async () => {
  const dir = await mkdtemp(path.join(tmpdir(), "egret-bin-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  expect(await version({ NODE_COMPILE_CACHE: dir })).toContain(packageJson.version);
  expect(await readdir(dir)).not.toEqual([]);
});

test("keeps it beside the packages otherwise", async () => {
  expect(await version({})).toContain(packageJson.version);
  expect(await readdir(path.join(root, "node_modules/.cache/egret"))).not.toEqual([]);
});

test("works without where it cannot be kept", async () => {
  expect(await version({ NODE_COMPILE_CACHE: "/dev/null/nowhere" })).toContain(packageJson.version);
});
