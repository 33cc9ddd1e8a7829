/** Options of commands that work with the services themselves or with a server elsewhere, whichever is meant. */
import type { Command } from "commander";
import { InvalidInput } from "../domain/errors.ts";
import { type ReachOptions, withReachOptions } from "./reachOptions.ts";

/** What says where Egret is; `url` and `token` are options of the program. */
export interface DeskOptions extends ReachOptions {
  url?: string;
  token?: string;
}

const workingRemotely = new WeakSet<Command>();

/** Adds the options; the command then works with a server elsewhere too. */
export function withDeskOptions(command: Command): Command {
  workingRemotely.add(command);
  return withReachOptions(command);
}

/** Marks a command that works with a server elsewhere alone. */
export function onlyRemote(command: Command): Command {
  workingRemotely.add(command);
  return command;
}

/**
 * Hands the program's options on to the command that runs.
 * @throws InvalidInput when that one works on the server only.
 */
export function handOnRemote(program: Command, command: Command): void {
  const { url, token } = program.opts<{ url?: string; token?: string }>();
  if (url === undefined && token === undefined) return;
  if (!workingRemotely.has(command)) {
    throw new InvalidInput(
      `\`${pathOf(command)}\` works on the server only, with its Postgres and NATS: run it there, without --url and --token`,
    );
  }
  if (url !== undefined) command.setOptionValue("url", url);
  if (token !== undefined) command.setOptionValue("token", token);
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

/** What `--help` says of it. */
export const REMOTE_HELP = `
Where a command works, first that holds:
  --url or EGRET_URL                   the server there, by its API
  --dir                                the development server of that folder
  EGRET_DATABASE_URL, EGRET_NATS_URL   these services
  .egret or EGRET_DIR                  a development server that runs from it
  egret login                          the server that was logged in to
The token is that of --token, EGRET_TOKEN or \`egret login\`. Others on the machine can see --token while a command runs.
Through the API work trigger, runs, run, cancel, dry-run, test-sync, preview, sync, records, calls, deliveries,
replay, alerts, alert, webhook and destination; the rest works on the server only.`;
