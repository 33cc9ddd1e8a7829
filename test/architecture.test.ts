import { execFile } from "node:child_process";
import { cp, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "./embedded/temporaryFolder.ts";

/** A cruiser without its parser sees nothing and reports success: fewer modules than this is a fault of the set-up. */
const FEWEST_MODULES = 20;

const root = path.resolve(import.meta.dirname, "..");
const run = promisify(execFile);

interface Cruise {
  summary: {
    totalCruised: number;
    totalDependenciesCruised: number;
    violations: { from: string; to: string; rule: { name: string; severity: string } }[];
  };
}

describe("I14: the rooms of the code", () => {
  test("import one another in one direction only", async () => {
    const { summary } = await cruise(root, ["machines", "migrations", "src"]);

    expect(summary.violations.map(({ from, to, rule }) => `${rule.name}: ${from} -> ${to}`)).toEqual([]);
    expect(summary.totalCruised).toBeGreaterThan(FEWEST_MODULES);
    expect(summary.totalDependenciesCruised).toBeGreaterThan(FEWEST_MODULES);
  });

  test.each([
    [
      "an arrow that runs back",
      "src/domain/fact.ts",
      'import "../log/topology.ts";',
      "domain-imports-only-its-rooms",
    ],
    [
      "an arrow of types only",
      "src/domain/fact.ts",
      'import type { Topology } from "../log/topology.ts";\nexport type T = Topology;',
      "domain-imports-only-its-rooms",
    ],
    ["a cycle", "src/log/topology.ts", 'import "./append.ts";', "no-cycles"],
    ["a machine that does I/O", "machines/run.ts", 'import "node:fs";', "machines-are-pure"],
    ["an import of the root", "src/runtime/worker.ts", 'import "../main.ts";', "main-is-the-root"],
    [
      "a product that imports a test",
      "src/runtime/worker.ts",
      'import "../../test/clock.ts";',
      "product-does-not-import-tests",
    ],
  ])("are watched: %s is reported", async (_what, file, text, rule) => {
    const folder = await plant({
      "machines/run.ts": "export {};",
      "src/domain/fact.ts": "export {};",
      "src/log/topology.ts": "export interface Topology {}",
      "src/log/append.ts": 'import "./topology.ts";',
      "src/runtime/worker.ts": 'import "../log/append.ts";',
      "src/main.ts": 'import "./runtime/worker.ts";',
      "test/clock.ts": "export {};",
      [file]: text,
    });

    const { summary } = await cruise(folder, ["machines", "src"]);
    expect(summary.violations.map((violation) => violation.rule.name)).toContain(rule);
  });
});

/** A small house of its own, judged by the real rules. */
async function plant(files: Record<string, string>): Promise<string> {
  const folder = await temporaryFolder();
  for (const name of [".dependency-cruiser.cjs", "tsconfig.json", "package.json"]) {
    await cp(path.join(root, name), path.join(folder, name));
  }
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  return folder;
}

async function cruise(cwd: string, rooms: readonly string[]): Promise<Cruise> {
  const program = path.join(root, "node_modules/dependency-cruiser/bin/dependency-cruise.mjs");
  const args = [program, "--config", ".dependency-cruiser.cjs", "--output-type", "json", ...rooms];
  // The JSON reporter ends with 0 whatever it found; a cruise that could not be made throws.
  const { stdout } = await run(process.execPath, args, { cwd, maxBuffer: 256 * 1024 * 1024 });
  return JSON.parse(stdout) as Cruise;
}
