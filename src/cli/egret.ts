/** Entry of the command line: parses, runs one command, and turns whatever goes wrong into a message and an exit code. */
import { CommanderError } from "commander";
import { EXIT } from "./exitCodes.ts";
import { describeFailure } from "./failures.ts";
import { buildProgram } from "./program.ts";
import { complain } from "./terminal.ts";

/** What a command left open would keep the process alive: it ends anyway after this time, ms. */
const LINGER_MS = 2_000;

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT.success);
  throw error;
});

process.on("uncaughtException", (error) => process.exit(exitCodeOf(error)));

try {
  const program = await buildProgram(process.argv[2]);
  await program.parseAsync(process.argv);
} catch (error) {
  process.exitCode = exitCodeOf(error);
}
setTimeout(() => process.exit(), LINGER_MS).unref();

function exitCodeOf(error: unknown): number {
  // Commander has already printed its message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.success : EXIT.badInput;
  const { lines, exitCode } = describeFailure(error);
  for (const [index, line] of lines.entries()) complain(index === 0 ? `egret: ${line}` : line);
  return exitCode;
}
