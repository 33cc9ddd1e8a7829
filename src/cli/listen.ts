/** `egret listen`: a receiver for development that verifies signatures and shows what arrives. */
import { Command } from "commander";
import { environment } from "../config.ts";
import { InvalidInput } from "../domain/errors.ts";
import { bytes, clock } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { type AnsweredRequest, header, startDevelopmentReceiver, type Verdict } from "./receiver.ts";
import { paint, print, printJson } from "./terminal.ts";

interface ListenOptions {
  port: number;
  secret?: string;
  status: number;
  failFirst: number;
  body?: boolean;
  json?: boolean;
}

/** The command. */
export function listenCommand(): Command {
  return new Command("listen")
    .description("receive webhooks on this machine, verify their signatures and show each request")
    .option("--port <port>", "port to listen on; 0 lets the system choose", wholeNumber(0, 65_535), 0)
    .option("--secret <secret>", "signing secret, or env:NAME to take it from a variable")
    .option("--status <code>", "HTTP status to answer with", wholeNumber(200, 599), 200)
    .option("--fail-first <count>", "answer 500 to so many requests first", wholeNumber(0, 1_000_000), 0)
    .option("--body", "show bodies too")
    .option("--json", "print one JSON object per request")
    .addHelpText(
      "after",
      "\nChecks X-Signature and the Standard Webhooks headers. Needs no server of Egret's; Ctrl-C ends it.\n\n" +
        "Example:\n  egret listen --port 4848 --secret env:AIRPORTS_WEBHOOK_SECRET --fail-first 2",
    )
    .action(listen);
}

async function listen(options: ListenOptions): Promise<void> {
  const secret = secretOf(options.secret);
  let received = 0;
  const receiver = await startDevelopmentReceiver({
    port: options.port,
    secret: () => secret,
    answer: () => {
      received += 1;
      return received <= options.failFirst ? 500 : options.status;
    },
    onRequest: (request) => show(request, options),
  });
  if (options.json === true) printJson({ listening: receiver.url });
  else
    print(
      `listening on ${paint("bold", receiver.url)}${secret === null ? " (no --secret: signatures are not checked)" : ""}`,
    );
  await new Promise<void>((resolve) => {
    process.once("SIGINT", resolve).once("SIGTERM", resolve);
  });
  await receiver.close();
}

function secretOf(text: string | undefined): string | null {
  if (text === undefined) return null;
  if (!text.startsWith("env:")) return text;
  const value = environment()[text.slice("env:".length)];
  if (value !== undefined && value !== "") return value;
  throw new InvalidInput(
    `the environment variable ${text.slice("env:".length)} is not set, but --secret names it`,
  );
}

function show(request: AnsweredRequest, { json, body }: ListenOptions): void {
  const { method, path, headers, status, signature, standardSignature } = request;
  const text = request.body.toString("utf8");
  if (json === true) {
    const { "x-event-id": event_id, "x-delivery-attempt": attempt, "idempotency-key": key } = headers;
    const facts = { method, path, status, signature, standard_signature: standardSignature };
    printJson({
      at: new Date(request.atMs).toISOString(),
      ...facts,
      event_id,
      attempt,
      idempotency_key: key,
      body: text,
    });
    return;
  }
  const answered = status < 300 ? paint("green", String(status)) : paint("red", String(status));
  const attempt = header(headers, "x-delivery-attempt");
  const parts = [
    paint("dim", clock(new Date(request.atMs))),
    `${method} ${path}`,
    eventOf(text) ?? bytes(request.body.length),
    attempt === null ? "" : `attempt ${attempt}`,
    `answered ${answered}`,
    `signature ${paintVerdict(signature)}`,
    standardSignature === "absent" ? "" : `standard ${paintVerdict(standardSignature)}`,
  ];
  print(parts.filter((part) => part !== "").join("  "));
  if (body === true) print(`  ${text}`);
}

/** The lifecycle event in a body, or the number of rows; null when it is neither. */
function eventOf(text: string): string | null {
  try {
    const body = JSON.parse(text) as { event?: unknown; data?: unknown };
    if (typeof body.event === "string") return body.event;
    return Array.isArray(body.data) ? `${body.data.length} rows` : null;
  } catch {
    return null;
  }
}

/** A verdict in its colour. */
export function paintVerdict(verdict: Verdict): string {
  if (verdict === "valid") return paint("green", verdict);
  return verdict === "invalid" ? paint("red", verdict) : paint("yellow", verdict);
}
