/** `egret webhook ping <webhook>`: one signed request now, and what the endpoint answers. */
import { Command } from "commander";
import { readWebhook } from "../configuration/store.ts";
import { NotFound } from "../domain/errors.ts";
import { type PingResult, pingWebhook } from "../runtime/ping.ts";
import { openOutboundPools } from "../security/outboundPools.ts";
import { redactUrl } from "../security/redact.ts";
import { WEBHOOK_USER_AGENT } from "../version.ts";
import { exchangeLines } from "./exchangeLines.ts";
import { EXIT, EXIT_CODES_HELP } from "./exitCodes.ts";
import { findWebhookNamed, findWorkspace } from "./findConfigured.ts";
import { duration } from "./format.ts";
import { findServices, type ReachOptions, secretBoxOf, withDatabase, withReachOptions } from "./reach.ts";
import { paint, print, printJson } from "./terminal.ts";

interface PingOptions extends ReachOptions {
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
      `\nIt goes out from here, at once, also while the webhook is paused or disabled, and is no delivery:\n` +
        `it is neither retried nor listed, and counts for nothing. Exit code 1 unless the answer is 2xx.\n` +
        `${EXIT_CODES_HELP}\n\nExample:\n  egret webhook ping pager`,
    );
  return withReachOptions(command).action(ping);
}

async function ping(wanted: string, options: PingOptions): Promise<void> {
  const reach = await findServices(options);
  const box = secretBoxOf(reach);
  const webhook = await withDatabase(reach, async ({ db }) => {
    const { id, name } = await findWebhookNamed(db, await findWorkspace(db, options.workspace), wanted);
    const found = await readWebhook(db, box, id);
    if (found === null) throw new NotFound(`webhook ${name} was deleted meanwhile`);
    return found;
  });
  const pools = openOutboundPools(reach.outbound, { connections: 1 });
  try {
    const result = await pingWebhook(webhook, { pools, userAgent: WEBHOOK_USER_AGENT });
    if (options.json === true) printJson(toJson(webhook.name, result));
    else printResult(webhook, result);
    if (!result.isAccepted) process.exitCode = EXIT.failed;
  } finally {
    await pools.close();
  }
}

function toJson(webhook: string, { isAccepted, eventId, answer }: PingResult): object {
  const { exchange, durationMs } = answer;
  return {
    webhook,
    accepted: isAccepted,
    event_id: eventId,
    http_status: answer.kind === "response" ? answer.httpStatus : null,
    error: answer.kind === "failed" ? answer.error : null,
    duration_ms: durationMs,
    request_headers: exchange.requestHeaders,
    response_headers: exchange.responseHeaders,
    response_body: exchange.responseBody,
    timing: exchange.split,
  };
}

function printResult(webhook: { name: string; endpoint: string }, { isAccepted, answer }: PingResult): void {
  const verdict = answer.kind === "response" ? `HTTP ${answer.httpStatus}` : answer.error;
  const painted = paint(isAccepted ? "green" : "red", verdict);
  print(
    `${paint("bold", webhook.name)}  ${redactUrl(webhook.endpoint)}  ${painted} in ${duration(answer.durationMs)}`,
  );
  for (const line of exchangeLines(answer.exchange)) print(`  ${line}`);
}
