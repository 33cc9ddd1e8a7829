/** `egret start`: runs roles until a signal, and drains before it ends. */
import { Command } from "commander";
import { type Config, redactedConfig } from "../config.ts";
import { InvalidInput } from "../domain/errors.ts";
import { type OpenDevelopmentServices, openDevelopmentServices } from "../embedded/services.ts";
import { openLogger } from "../logger.ts";
import { ROLES, type Role, type RunningEgret, startEgret } from "../main.ts";
import { EXIT } from "./exitCodes.ts";
import { describeFailure } from "./failures.ts";
import { firstToken } from "./firstToken.ts";
import { configOf, logLimitsOf, outboundOf, type ReachOptions, withReachOptions } from "./reach.ts";
import { complain, isTerminal, paint, print } from "./terminal.ts";

type StartOptions = ReachOptions & { roles: string };
type Logger = ReturnType<typeof openLogger>;

/** The command. */
export function startCommand(): Command {
  const command = new Command("start")
    .description("run Egret; without EGRET_DATABASE_URL and EGRET_NATS_URL it starts those servers itself")
    .option("--roles <roles>", `which of ${ROLES.join(", ")}, with commas between`, ROLES.join(","))
    .addHelpText(
      "after",
      "\nCtrl-C or SIGTERM: takes no new work, finishes what is under way, ends with 0. A second one ends at once.\n" +
        "Logs are JSON lines where output is no terminal.\n\n" +
        "Examples:\n  egret start\n  EGRET_DATABASE_URL=… EGRET_NATS_URL=… EGRET_SECRET_KEY=… egret start --roles worker",
    );
  return withReachOptions(command).action(start);
}

async function start(options: StartOptions): Promise<void> {
  const config = configOf(options);
  const roles = rolesOf(options.roles);
  const logger = openLogger({ level: config.logLevel, pretty: isTerminal() });
  const signals = new StopSignals();
  let opened: Opened | null = null;
  try {
    opened = await open(config, roles, logger);
  } catch (error) {
    // Whatever is down: one message, no stack, and 1, by which a supervisor knows to try again.
    const failure = describeFailure(error);
    for (const [index, line] of failure.lines.entries()) complain(index === 0 ? `egret: ${line}` : line);
    process.exitCode = failure.exitCode === EXIT.badInput ? EXIT.badInput : EXIT.failed;
    return;
  }
  announce(opened, config, logger);
  await showFirstToken(opened);
  const failure = await Promise.race([signals.first, opened.egret.failed, serverLoss(opened.embedded)]);
  if (failure instanceof Error) logger.fatal({ err: failure }, "egret.failed");
  else logger.info({ signal: failure }, "egret.draining");
  await opened.egret.close();
  await opened.embedded?.close();
  logger.info("egret.stopped");
  process.exitCode = failure instanceof Error ? EXIT.failed : EXIT.success;
}

interface Opened {
  egret: RunningEgret;
  embedded: OpenDevelopmentServices | null;
  roles: readonly Role[];
}

function rolesOf(text: string): Role[] {
  const names = text.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !(ROLES as readonly string[]).includes(name));
  if (unknown !== undefined)
    throw new InvalidInput(`--roles: there is no role "${unknown}"; known: ${ROLES.join(", ")}`);
  return [...new Set(names as Role[])];
}

async function open(config: Config, roles: readonly Role[], logger: Logger): Promise<Opened> {
  logger.info(redactedConfig(config), "egret.starting");
  const { databaseUrl, natsUrl, dir } = config;
  const embedded =
    databaseUrl === null || natsUrl === null
      ? await openDevelopmentServices({ dir, databaseUrl, natsUrl, log: logger })
      : null;
  try {
    const egret = await startEgret({
      databaseUrl: databaseUrl ?? embedded?.databaseUrl ?? "",
      natsUrl: natsUrl ?? embedded?.natsUrl ?? "",
      secretKeys:
        config.secretKeys.length > 0 || embedded === null ? config.secretKeys : [embedded.secretKey],
      streamPrefix: config.streamPrefix,
      limits: logLimitsOf(config),
      exchangeRetentionDays: config.exchangeRetentionDays,
      recordRetentionDays: config.recordRetentionDays,
      roles,
      http: { host: config.httpHost, port: config.httpPort },
      publicUrl: config.publicUrl,
      concurrency: config.workerConcurrency,
      apiRequestsPerSecond: config.apiRequestsPerSecond,
      apiSyncCreatedStatus: config.apiSyncCreatedStatus,
      runsPerWorkspace: config.runsPerWorkspace,
      tracing:
        config.otlpEndpoint === null ? null : { endpoint: config.otlpEndpoint, share: config.traceShare },
      ...outboundOf(config, embedded !== null),
      logger,
    });
    return { egret, embedded, roles };
  } catch (error) {
    await embedded?.close();
    throw error;
  }
}

function announce({ egret, embedded, roles }: Opened, { dir }: Config, logger: Logger): void {
  // Under `url` the logger would hide it, since most addresses carry a password.
  logger.info({ roles, address: egret.url, development: embedded !== null }, "egret.started");
  if (!isTerminal()) return;
  print();
  print(`${paint(["bold", "green"], "Egret runs")} at ${paint("bold", egret.url)} (${roles.join(", ")})`);
  if (embedded !== null) print(`Its Postgres and nats-server keep their data in ${dir}.`);
  print("Next, in another shell:");
  print("  egret apply -f egret.yaml     configure sources, destinations, syncs and webhooks");
  print("  egret trigger <sync> --watch  run a sync");
  print("  egret tail                    see every event as it comes");
  print("  egret doctor                  check everything");
  print("Ctrl-C drains and ends it.");
  print();
}

/** On a terminal alone: elsewhere it would stand in a log for good. */
async function showFirstToken({ egret, roles }: Opened): Promise<void> {
  if (!isTerminal() || !roles.includes("api")) return;
  const token = await firstToken(egret.services.database.db, "egret start");
  if (token === null) return;
  print(
    `The first token of its API (${egret.url}/docs), personal and shown this once; more with: egret token create`,
  );
  print(`  ${paint("bold", token)}`);
  print();
}

/** Settles when a server that we started ends by itself. */
function serverLoss(embedded: OpenDevelopmentServices | null): Promise<Error> {
  const { promise, resolve } = Promise.withResolvers<Error>();
  for (const [name, server] of [
    ["nats-server", embedded?.nats],
    ["Postgres", embedded?.postgres],
  ] as const) {
    void server?.exited.then(() => resolve(new Error(`the ${name} that Egret started has ended`)));
  }
  return promise;
}

/** The first signal asks for a drain, the second ends the process. */
class StopSignals {
  readonly first: Promise<NodeJS.Signals>;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
    this.first = promise;
    let count = 0;
    const onSignal = (signal: NodeJS.Signals) => {
      count += 1;
      if (count === 1) resolve(signal);
      else process.exit(signal === "SIGINT" ? 130 : 143);
    };
    process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  }
}
