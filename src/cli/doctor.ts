/** `egret doctor`: what is reachable, in which version, and what to fix. */
import { Command } from "commander";
import { checkEverything } from "./doctorChecks.ts";
import { EXIT } from "./exitCodes.ts";
import type { Finding } from "./finding.ts";
import { type ReachOptions, withReachOptions } from "./reach.ts";
import { paint, print, printJson } from "./terminal.ts";

const MARKS = {
  ok: () => paint("green", "✓"),
  warning: () => paint("yellow", "!"),
  problem: () => paint("red", "✗"),
} as const;

/** The command. */
export function doctorCommand(): Command {
  const command = new Command("doctor")
    .description("check settings, Postgres, NATS, configuration and read models, and say what to fix")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nExit code 1 when there is a problem. Nothing is changed.\n\nExample:\n  egret doctor",
    );
  return withReachOptions(command).action(async (options: ReachOptions & { json?: boolean }) => {
    const findings = await checkEverything(options);
    const isHealthy = findings.every(({ state }) => state !== "problem");
    if (options.json === true) printJson({ healthy: isHealthy, findings });
    else for (const finding of findings) printFinding(finding);
    if (!isHealthy) process.exitCode = EXIT.failed;
  });
}

function printFinding({ name, state, message, fix }: Finding): void {
  print(`${MARKS[state]()} ${name.padEnd(14)} ${message}`);
  if (fix !== null) print(`  ${" ".repeat(14)} ${paint("yellow", "fix:")} ${fix}`);
}
