import { describe, expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { buildProgram } from "../../src/cli/program.ts";
import { runCli } from "../support/cli.ts";

const NAMES = [
  "demo",
  "init",
  "start",
  "apply",
  "trigger",
  "runs",
  "run",
  "cancel",
  "dry-run",
  "test-sync",
  "preview",
  "columns",
  "schedules",
  "sync",
  "state",
  "hook",
  "token",
  "records",
  "calls",
  "deliveries",
  "replay",
  "alerts",
  "alert",
  "endpoints",
  "webhook",
  "destination",
  "login",
  "logout",
  "whoami",
  "tail",
  "audit",
  "listen",
  "projections",
  "retention",
  "migrate",
  "doctor",
];

describe("the command line", () => {
  test("lists every command, every setting and what exit codes mean", async () => {
    const { code, stdout } = await runCli(["--help"]);
    expect(code).toBe(0);
    for (const name of NAMES) expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, "m"));
    expect(stdout).toContain("EGRET_DATABASE_URL");
    expect(stdout).toContain("Exit codes:");
  });

  test("gives each command a help text with an example", async () => {
    const program = await buildProgram(undefined);
    expect(program.commands.map((command) => command.name())).toEqual(NAMES);
    for (const command of program.commands) {
      let text = "";
      command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp();
      expect(text).toMatch(new RegExp(`Examples?:\\n.*egret ${command.name()}`, "s"));
    }
  });

  test("prints its version", async () => {
    expect(await runCli(["--version"])).toEqual({ code: 0, stdout: `${packageJson.version}\n`, stderr: "" });
  });

  test.each([
    ["an unknown command", ["trigr"], "unknown command 'trigr'\n(Did you mean trigger?)"],
    ["an unknown option", ["runs", "--limt", "3"], "unknown option '--limt'\n(Did you mean --limit?)"],
    ["a missing argument", ["audit"], "missing required argument 'run'"],
    ["a number out of bounds", ["runs", "--limit", "0"], "Give a whole number from 1 to 1000."],
  ])("ends with 2 and a hint after %s", async (_what, args, message) => {
    const { code, stdout, stderr } = await runCli(args);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(message);
    expect(stderr).toContain("(add --help for what there is)");
  });
});
