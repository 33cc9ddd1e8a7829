/** The option of every command that talks to the services; by itself, so that the program's help needs no driver. */
import type { Command } from "commander";

/** Options of every command that talks to the services. */
export interface ReachOptions {
  dir?: string;
}

/** Adds them. */
export function withReachOptions(command: Command): Command {
  return command.option(
    "--dir <folder>",
    "folder of a running development server (else EGRET_DIR, else .egret)",
  );
}
