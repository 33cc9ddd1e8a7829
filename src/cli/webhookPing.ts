/** `egret webhook ping <webhook>`: one signed request now, and what the endpoint answers. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { Pinged } from "./desks.ts";
import { exchangeLines } from "./exchangeLines.ts";
import { EXIT, EXIT_CODES_HELP } from "./exitCodes.ts";
import { duration } from "./format.ts";
import { paint, print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface PingOptions extends DeskOptions {
  workspace?: string;
  json?: boolean;
}

/** The command. */
export function webhookPingCommand(): Command {
  const command = new Command("ping")
    .description('send {"event":"ping"} to a webhook, signed, once, and show its answer')
    .argument("<webhook>", "name or id")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `\nIt goes out from here, or from the server of --url, at once, also while the webhook is paused or disabled, and is no delivery:\n` +
        `it is neither retried nor listed, and counts for nothing. Exit code 1 unless the answer is 2xx.\n` +
        `${EXIT_CODES_HELP}\n\nExample:\n  egret webhook ping pager`,
    );
  return withDeskOptions(command).action(ping);
}

async function ping(name: string, options: PingOptions): Promise<void> {
  const { workspace } = options;
  const result = await withDesk("webhooks", options, (desk) => desk.ping({ name, workspace }));
  if (options.json === true) printJson(toJson(result));
  else printResult(result);
  if (!result.isAccepted) process.exitCode = EXIT.failed;
}

function toJson({ webhook, isAccepted, eventId, httpStatus, error, durationMs, exchange }: Pinged): object {
  return {
    webhook,
    accepted: isAccepted,
    event_id: eventId,
    http_status: httpStatus,
    error,
    duration_ms: durationMs,
    request_headers: exchange.requestHeaders,
    response_headers: exchange.responseHeaders,
    response_body: exchange.responseBody,
    timing: exchange.split,
  };
}

function printResult({
  webhook,
  endpoint,
  isAccepted,
  httpStatus,
  error,
  durationMs,
  exchange,
}: Pinged): void {
  const verdict = httpStatus === null ? (error ?? "no answer") : `HTTP ${httpStatus}`;
  const painted = paint(isAccepted ? "green" : "red", verdict);
  print(`${paint("bold", webhook)}  ${endpoint}  ${painted} in ${duration(durationMs)}`);
  for (const line of exchangeLines(exchange)) print(`  ${line}`);
}
