/** `egret webhook rotate-secret <webhook>`: a new signing secret, shown once; the old one may overlap with it. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { dayAndTime } from "./format.ts";
import { timeSpan } from "./instant.ts";
import { paint, print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface RotateOptions extends DeskOptions {
  overlap: number;
  workspace?: string;
  json?: boolean;
}

/** The command. */
export function webhookRotateSecretCommand(): Command {
  const command = new Command("rotate-secret")
    .description("give a webhook a new signing secret and print it, once")
    .argument("<webhook>", "name or id")
    .option("--overlap <time>", "how long the old secret signs too, such as 24h or 7d", timeSpan, 0)
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `\nWithout --overlap the old secret stops at once. During an overlap the header webhook-signature carries a\n` +
        `signature by each, the new one first, and X-Signature is by the new one alone: receivers that check\n` +
        `X-Signature have to know the new secret first. A rotation during an overlap ends the oldest secret.\n` +
        `Deliveries that wait are signed when they are sent.\n` +
        `${EXIT_CODES_HELP}\n\nExample:\n  egret webhook rotate-secret pager --overlap 24h`,
    );
  return withDeskOptions(command).action(rotate);
}

async function rotate(wanted: string, options: RotateOptions): Promise<void> {
  const { workspace, overlap } = options;
  const { name, secret, previousUntil } = await withDesk("webhooks", options, (desk) =>
    desk.rotateSecret({ name: wanted, workspace }, overlap),
  );
  if (options.json === true) {
    printJson({ webhook: name, secret, previous_secret_until: previousUntil?.toISOString() ?? null });
    return;
  }
  print(`The new secret of webhook ${name}, shown this once:`);
  print(`  ${paint("bold", secret)}`);
  print(
    previousUntil === null
      ? "The old secret no longer signs."
      : `The old secret signs beside it until ${dayAndTime(previousUntil)}.`,
  );
}
