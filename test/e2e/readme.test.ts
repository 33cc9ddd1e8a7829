import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { testEgret, triggerAndWait } from "../support/egret.ts";
import { natsUrl, testDatabase } from "../support/namespace.ts";
import { openScenario, type Scenario } from "../support/scenario.ts";

const root = path.join(import.meta.dirname, "../..");
const readme = await readFile(path.join(root, "README.md"), "utf8");
const warehouse = await testDatabase();
const egret = await testEgret();
const prefix = egret.settings.streamPrefix;
let scenario: Scenario;
let folder: string;

beforeAll(async () => {
  scenario = await openScenario({
    settings: egret.settings,
    warehouseUrl: warehouse.url,
    rows: 5,
    batchSize: 2,
  });
  // Inside the checkout, so that the examples find the two packages they name.
  folder = await mkdtemp(path.join(root, "node_modules", ".readme-"));
});
afterAll(async () => {
  await scenario.close();
  await rm(folder, { recursive: true, force: true });
});

/** The code of an example as it stands in the README; only the names of the streams are this test's own. */
function example(name: string): string {
  const start = readme.indexOf(`<!-- example: ${name} -->`);
  const block = /```\w+\n([\s\S]*?)```/.exec(readme.slice(start))?.[1];
  if (start === -1 || block === undefined) throw new Error(`the README has no example ${name}`);
  return block
    .replaceAll("EGRET_RUNS", `${prefix.toUpperCase()}_RUNS`)
    .replaceAll("egret.commands.", `${prefix}.commands.`)
    .replaceAll("egret.events.", `${prefix}.events.`);
}

interface Program {
  child: ChildProcess;
  output(): string;
  exited: Promise<number | null>;
}

async function start(name: string, ...args: (string | number)[]): Promise<Program> {
  const file = path.join(folder, name);
  await writeFile(file, example(name));
  const child = spawn(process.execPath, [file, ...args.map(String)], {
    env: { ...process.env, EGRET_NATS_URL: natsUrl() },
  });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
  return {
    child,
    output: () => Buffer.concat(chunks).toString(),
    exited: new Promise((resolve) => child.once("exit", resolve)),
  };
}

describe("the README's examples, as they stand", () => {
  test("the scheduler starts one run an hour, however often it is started, and waits for the outcome", async () => {
    const first = await start("scheduler.mjs", 1, "people_to_ops");
    expect([await first.exited, first.output()]).toEqual([
      0,
      expect.stringMatching(/^run\/\d+ ended: sync.success\n$/),
    ]);
    const again = await start("scheduler.mjs", 1, "people_to_ops");
    expect([await again.exited, again.output()]).toEqual([0, first.output()]);
  });

  test("the scheduler is told why a command is refused", async () => {
    const unknown = await start("scheduler.mjs", 1, "no_such_sync");
    expect([await unknown.exited, unknown.output()]).toEqual([
      2,
      expect.stringContaining('there is no sync "no_such_sync"'),
    ]);
  });

  test("the auditor replays a run from its first event and finds it whole", async () => {
    const { runId } = await triggerAndWait(scenario, { sync: "people_to_ops" });
    const auditor = await start("auditor.mjs", runId);
    expect(await auditor.exited).toBe(0);
    expect(auditor.output()).toMatch(/^1 \S+ sync\.triggered -> triggered\n/);
    expect(auditor.output()).toContain("complete: 8 events without a gap");
    const none = await start("auditor.mjs", 999_999);
    expect([await none.exited, none.output()]).toEqual([0, "no such run\n"]);
  });

  test("the subscriber tails the failures of one sync", async () => {
    const syncId = await scenario.applied.id("sync", "people_to_ops");
    const subscriber = await start("failures.mjs", 1, syncId);
    await expect.poll(subscriber.output, { timeout: 10_000 }).toContain("waiting for failures");
    await scenario.warehouse("alter table people drop column name");
    const { runId } = await triggerAndWait(scenario, { sync: "people_to_ops" });
    await expect
      .poll(subscriber.output, { timeout: 10_000 })
      .toContain(`run/${runId}: SOURCE_COLUMN_MISSING Mapped column name no longer exists in the source`);
    subscriber.child.kill();
    await subscriber.exited;
  });

  test("the egret.yaml is valid", () => {
    const env = {
      WAREHOUSE_URL: "postgres://localhost/w",
      OPS_URL: "http://127.0.0.1:5050/rows",
      PAGER_URL: "http://127.0.0.1:5050/p",
    };
    const file = parseEgretFile(example("egret.yaml"), "egret.yaml", { env, allowHttp: true });
    expect(file.syncs.map(({ name }) => name)).toEqual(["trials_to_ops"]);
    expect(file.warnings).toEqual([]);
  });
});
