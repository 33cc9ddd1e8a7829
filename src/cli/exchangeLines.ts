/** What was said in one attempt, as lines for people: headers, the answer's beginning, where the time went. */
import type { Exchange } from "../destinations/exchange.ts";
import { duration } from "./format.ts";
import { paint } from "./terminal.ts";

/** Request and response as lines under the attempt they belong to. */
export function exchangeLines(exchange: Omit<Exchange, "call">): string[] {
  const { requestHeaders, responseHeaders, responseBody } = exchange;
  const lines = [`time      ${splitText(exchange.split)}`];
  for (const [name, value] of Object.entries(requestHeaders)) lines.push(headerLine(">", name, value));
  for (const [name, value] of Object.entries(responseHeaders ?? {})) {
    for (const each of [value ?? []].flat()) lines.push(headerLine("<", name, each));
  }
  if (responseBody !== null && responseBody !== "") {
    lines.push(
      ...printable(responseBody)
        .split("\n")
        .map((line) => `${paint("dim", "|")} ${line}`),
    );
  }
  return lines;
}

/** `dns 1 ms, connect 2 ms, tls 5 ms, first byte 12 ms, total 13 ms`; steps that were not needed are left out. */
export function splitText({ dnsMs, connectMs, tlsMs, firstByteMs, totalMs }: Exchange["split"]): string {
  const steps: [string, number | null][] = [
    ["dns", dnsMs],
    ["connect", connectMs],
    ["tls", tlsMs],
    ["first byte", firstByteMs],
    ["total", totalMs],
  ];
  return steps
    .filter(([, ms]) => ms !== null)
    .map(([name, ms]) => `${name} ${duration(ms ?? 0)}`)
    .join(", ");
}

/** One header as a line. */
export function headerLine(mark: string, name: string, value: string): string {
  return `${paint("dim", `${mark} ${printable(name)}:`)} ${printable(value)}`;
}

/** What a receiver wrote, without anything that a terminal would obey. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is taken out
  return text.replaceAll("\r\n", "\n").replace(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/g, "\u00B7");
}
