import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { runCli, startCli } from "../support/cli.ts";

describe("egret demo", () => {
  test("tells its story to the end, checks every promise, and leaves nothing behind", async () => {
    const dir = await folder();
    const { code, stdout, stderr } = await runCli(["demo", "--dir", dir], withNats());
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toContain("table public.airports has 3,376 rows");
    expect(stdout).toContain("all 3,376 rows arrived, each once, with the values of the table");
    expect(stdout).toContain("exactly the 5 changed rows arrived");
    expect(stdout).toMatch(
      /sync\.triggered -> flaky_pager +attempt 1 {2}HTTP 500 {2}signature valid, standard valid/,
    );
    expect(stdout).toMatch(/attempt 2 {2}HTTP 500 .*after attempt 1: due after 4\.00 s/);
    expect(stdout).toMatch(/attempt 3 {2}HTTP 200 .*after attempt 2: due after 8\.00 s/);
    expect(stdout).toMatch(/lifecycle webhooks +12 delivered in 14 attempts, every signature valid/);
    expect(stdout).toMatch(/audit of run 1 +complete: 158 events, 74 deliveries, gapless/);
    expect(stdout).toMatch(/audit of run 2 +complete: 22 events, 7 deliveries, gapless/);
    expect(stdout).toContain("Everything holds.");
    expect(stdout).toContain("npm run demo -- --keep");
    // No colours where output is no terminal.
    expect(stdout).not.toContain("\u001B[");
    expect(await readdir(dir)).toEqual([]);
  });

  test("with --keep stays up for commands of other shells until Ctrl-C, then cleans up", async () => {
    const dir = await folder();
    const running = startCli(["demo", "--keep", "--dir", dir], withNats());
    const text = await running.waitFor(/bin\/egret doctor --dir \S+/);
    const at = /bin\/egret doctor --dir (\S+)/.exec(text)?.[1] ?? "";
    const doctor = await runCli(["doctor", "--dir", path.resolve(at)]);
    expect(doctor.stdout).toContain("1 sync, 2 webhooks");
    expect(doctor.code).toBe(0);
    const again = await runCli(["trigger", "airports", "--watch", "--json", "--dir", path.resolve(at)]);
    expect(JSON.parse(again.stdout)).toMatchObject({ run_id: 3, status: "success", records_processed: 0 });
    running.child.kill("SIGINT");
    expect((await running.ended).code).toBe(0);
    expect(await readdir(dir)).toEqual([]);
  });
});

/** The nats-server of this test run, so that the demo fetches none. */
function withNats(): Record<string, string> {
  const binary = inject("servers").natsBinary;
  return { PATH: `${path.dirname(binary)}${path.delimiter}${process.env["PATH"]}` };
}

async function folder(): Promise<string> {
  const dir = path.join(await mkdtemp(path.join(tmpdir(), "egret-demo-")), "home");
  await mkdir(dir, { mode: 0o700 });
  onTestFinished(() => rm(path.dirname(dir), { recursive: true, force: true }));
  return dir;
}
