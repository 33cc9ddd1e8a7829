/** Shows a soak: a line of progress, the account as a table, the account as JSON. */
import type { Account } from "./account.ts";
import type { SoakProgress } from "./soak.ts";
import type { SoakOptions } from "./soakPlan.ts";

const number = (value: number): string => Math.round(value).toLocaleString("en-US");
const seconds = (ms: readonly number[]): string => ms.map((each) => each / 1_000).join(", ");

/** One line for people who wait. */
export function progressLine(progress: SoakProgress, wanted: number): string {
  const { created, delivered, dead, retried, requests, kills, ready, news } = progress;
  const ended = delivered + dead;
  return [
    `${String(progress.seconds).padStart(5)} s`,
    `${number(created)} created`,
    `${number(ended)} of ${number(wanted)} ended (${number(dead)} dead)`,
    `${number(retried)} retries`,
    `${number(requests)} requests`,
    `${kills} kills`,
    `${ready} at work`,
    ...(news === null ? [] : [news]),
  ].join(" · ");
}

/** What was run, in a few lines. */
export function describeSoak(options: SoakOptions): string {
  const share = (part: number) => `${Math.round(part * 100)} %`;
  return [
    `${number(options.deliveries)} deliveries to ${options.targets} webhooks, one of them dead; of the answers`,
    `${share(options.failing)} fail and ${share(options.hanging)} never come; retries after ${seconds(options.scheduleMs)} s,`,
    `time-out ${seconds([options.timeoutMs])} s; a worker killed every ${options.secondsBetweenKills} s; seed ${options.seed}.`,
  ].join("\n");
}

/** The account in Markdown whose columns also line up on a terminal. */
export function accountTable({ ok, lines, lateness, problems, seconds: took }: Account): string {
  const rows = [
    ["account", "found", "wanted", ""],
    ...lines.map((line) => [
      line.what,
      number(line.found),
      line.wanted ?? "-",
      line.wanted === null ? "" : line.ok ? "ok" : "WRONG",
    ]),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const cell = (text: string, column: number) =>
    column === 0 || column === 3 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  const line = (row: readonly string[]) => `| ${row.map(cell).join(" | ")} |`;
  const rule = widths.map((width, column) =>
    (column === 0 || column === 3 ? "-" : "-:").padStart(width, "-"),
  );
  const { count, p50, p99, max } = lateness;
  return [
    line(rows[0] ?? []),
    `| ${rule.join(" | ")} |`,
    ...rows.slice(1).map(line),
    "",
    `${number(count)} retries began late by ${number(p50)} ms at the median, ${number(p99)} ms at p99, ${number(max)} ms at most; none that a crash held up is left out.`,
    `${number(took)} s. ${ok ? "It adds up." : "IT DOES NOT ADD UP."}`,
    ...problems.map((problem) => `- ${problem}`),
  ].join("\n");
}
