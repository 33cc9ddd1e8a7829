/** `egret demo`: a first sync, an edit, a second sync, retried webhooks and an audit, on servers of its own. */
import { Command } from "commander";
import type { EmbeddedLog } from "../embedded/embeddedLog.ts";
import { openLogger } from "../logger.ts";
import { Releases } from "../releases.ts";
import { nextLines, summaryLines } from "./demo/demoReport.ts";
import { type Stage, tellStory } from "./demo/demoStory.ts";
import { EXIT } from "./exitCodes.ts";
import { describeFailure } from "./failures.ts";
import { duration } from "./format.ts";
import { configOf, type ReachOptions } from "./reach.ts";
import { complain, paint, print, StatusLine } from "./terminal.ts";

type DemoOptions = ReachOptions & { keep?: boolean };

const INTERRUPTED = Symbol("interrupted");
/** So many warnings of Egret's own log are shown when the demo fails. */
const KEPT_WARNINGS = 10;

/** The command. */
export function demoCommand(): Command {
  return new Command("demo")
    .description(
      "see it work: a real Postgres table synced to a webhook, signed, retried, audited; half a minute",
    )
    .option("--keep", "leave the server up at the end, until Ctrl-C")
    .option("--dir <folder>", "where its servers live meanwhile (else EGRET_DIR, else .egret)")
    .addHelpText(
      "after",
      "\nStarts a Postgres and a nats-server in a new folder and removes them at the end; nothing else is touched.\n" +
        "Everything it shows is checked: exit code 1 when something does not hold.\n\nExample:\n  egret demo --keep",
    )
    .action(demo);
}

async function demo(options: DemoOptions): Promise<void> {
  const began = performance.now();
  const warnings: string[] = [];
  const releases = new Releases();
  const status = new StatusLine();
  const interruption = onInterrupt();
  const stage: Stage = {
    config: configOf(options),
    status,
    logger: openLogger({
      level: "warn",
      pretty: false,
      stream: { write: (line: string) => void warnings.push(line) },
    }),
    serverLog: serverLog(),
    releases,
  };
  const story = tellStory(stage);
  try {
    const result = await Promise.race([story, interruption]);
    if (result === INTERRUPTED) {
      process.exitCode = 130;
      return;
    }
    print();
    for (const line of summaryLines(result)) print(line);
    const took = paint("dim", `It took ${duration(performance.now() - began)}.`);
    print(`\n${paint("green", "Everything holds.")} ${took}\n`);
    for (const line of nextLines(result, options.keep === true)) print(line);
    if (options.keep === true) await interruption;
  } catch (error) {
    status.clear();
    complain(`\n${paint("red", "The demo failed:")}`);
    for (const line of describeFailure(error).lines) complain(`  ${line}`);
    for (const line of warnings.slice(-KEPT_WARNINGS)) complain(`  ${line.trimEnd()}`);
    process.exitCode = EXIT.failed;
  } finally {
    status.clear();
    // What was under way when it was interrupted fails on the servers that go away: nobody asks any more.
    story.catch(() => undefined);
    await releases.release().catch((error: unknown) => complain(describeFailure(error).lines.join("\n")));
  }
}

/** Resolves at the first Ctrl-C or SIGTERM; a second one ends the process at once. */
function onInterrupt(): Promise<typeof INTERRUPTED> {
  const { promise, resolve } = Promise.withResolvers<typeof INTERRUPTED>();
  let count = 0;
  const onSignal = (): void => {
    count += 1;
    if (count > 1) process.exit(130);
    complain("\nstopping and cleaning up …");
    resolve(INTERRUPTED);
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  return promise;
}

/** Shows what takes time or goes wrong while servers start; that they are up is shown by what follows. */
function serverLog(): EmbeddedLog {
  return {
    info: (fields, message) => {
      const from = fields["from"];
      if (typeof from === "string") print(`  ${message} (${from})`);
    },
    warn: (fields, message) => {
      const reason = fields["reason"] ?? fields["error"] ?? "";
      complain(`  ${message} ${typeof reason === "string" ? reason : ""}`.trimEnd());
    },
  };
}
