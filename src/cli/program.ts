/** The command line as a whole: its commands, its help, and what a wrong word leads to. */
import { Command } from "commander";
import { VERSION } from "../version.ts";
import { handOnRemote, REMOTE_HELP } from "./deskOptions.ts";
import { environmentHelp } from "./environmentHelp.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";

/** Commands in the order of the help; each is loaded when it is needed, since some bring much along. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await import("./demo.ts")).demoCommand(),
  init: async () => (await import("./init.ts")).initCommand(),
  start: async () => (await import("./start.ts")).startCommand(),
  apply: async () => (await import("./apply.ts")).applyCommand(),
  trigger: async () => (await import("./trigger.ts")).triggerCommand(),
  runs: async () => (await import("./runs.ts")).runsCommand(),
  run: async () => (await import("./run.ts")).runCommand(),
  cancel: async () => (await import("./cancel.ts")).cancelCommand(),
  "dry-run": async () => (await import("./dryRun.ts")).dryRunCommand(),
  "test-sync": async () => (await import("./testSync.ts")).testSyncCommand(),
  preview: async () => (await import("./preview.ts")).previewCommand(),
  columns: async () => (await import("./columns.ts")).columnsCommand(),
  schedules: async () => (await import("./schedules.ts")).schedulesCommand(),
  sync: async () => (await import("./sync.ts")).syncCommand(),
  state: async () => (await import("./state.ts")).stateCommand(),
  hook: async () => (await import("./hook.ts")).hookCommand(),
  token: async () => (await import("./token.ts")).tokenCommand(),
  records: async () => (await import("./records.ts")).recordsCommand(),
  calls: async () => (await import("./calls.ts")).callsCommand(),
  deliveries: async () => (await import("./deliveries.ts")).deliveriesCommand(),
  replay: async () => (await import("./replay.ts")).replayCommand(),
  alerts: async () => (await import("./alerts.ts")).alertsCommand(),
  alert: async () => (await import("./alertsShow.ts")).alertCommand(),
  endpoints: async () => (await import("./endpoints.ts")).endpointsCommand(),
  webhook: async () => (await import("./webhook.ts")).webhookCommand(),
  destination: async () => (await import("./destination.ts")).destinationCommand(),
  login: async () => (await import("./login.ts")).loginCommand(),
  logout: async () => (await import("./login.ts")).logoutCommand(),
  whoami: async () => (await import("./whoami.ts")).whoamiCommand(),
  tail: async () => (await import("./tail.ts")).tailCommand(),
  audit: async () => (await import("./audit.ts")).auditCommand(),
  listen: async () => (await import("./listen.ts")).listenCommand(),
  projections: async () => (await import("./projections.ts")).projectionsCommand(),
  retention: async () => (await import("./retention.ts")).retentionCommand(),
  migrate: async () => (await import("./migrate.ts")).migrateCommand(),
  doctor: async () => (await import("./doctor.ts")).doctorCommand(),
};

const HELP = `
Start with:
  egret demo     the whole thing in half a minute, on servers of its own
`;

/**
 * Builds the program for a command line, whose first word says which commands have to be there: that one, or all.
 * Parsing it throws CommanderError instead of ending the process.
 */
export async function buildProgram(firstWord: string | undefined): Promise<Command> {
  const program = new Command("egret")
    .description(
      "Open, self-hosted reverse ETL with an audit trail: SQL models to webhooks, on an event log.",
    )
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .option("--url <address>", "work with the server there, by its API (else EGRET_URL)")
    .option("--token <token>", "token for that server; safer: EGRET_TOKEN, or `egret login`")
    .hook("preAction", handOnRemote)
    .showSuggestionAfterError(true)
    .showHelpAfterError("(add --help for what there is)")
    .exitOverride()
    .addHelpText("after", `${HELP}${REMOTE_HELP}\n${environmentHelp()}\n${EXIT_CODES_HELP}`);
  const one = firstWord === undefined ? undefined : Object.getOwnPropertyDescriptor(COMMANDS, firstWord);
  const isVersion = firstWord === "-V" || firstWord === "--version";
  const all = isVersion ? [] : Object.values(COMMANDS);
  const wanted = one === undefined ? all : [one.value as () => Promise<Command>];
  for (const load of wanted) program.addCommand(inheriting(await load(), program));
  return program;
}

/** Commands that are made by themselves do not take over settings of the program unless told to. */
function inheriting(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) inheriting(child, command);
  return command;
}
