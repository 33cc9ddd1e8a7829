/** `egret deliveries show <id>`: one delivery with every attempt, and what was said in it as long as that is kept. */
import { Command } from "commander";
import { attemptLine, paintState } from "./deliveryWords.ts";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import type { ShownDeliveryDetail } from "./desks.ts";
import { exchangeLines, printable } from "./exchangeLines.ts";
import { counted, dayAndTime } from "./format.ts";
import { paint, print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface ShowOptions extends DeskOptions {
  json?: boolean;
}

/** The command. */
export function deliveriesShowCommand(): Command {
  const command = new Command("show")
    .description(
      "show one delivery and every attempt, with headers, answer and timing as long as they are kept",
    )
    .argument("<id>", "id of the delivery, such as 7011-3-14")
    .option("--json", "print one JSON object")
    .addHelpText("after", "\nExample:\n  egret deliveries show 7011-3-14");
  return withDeskOptions(command).action(async (id: string, options: ShowOptions) => {
    const delivery = await withDesk("deliveries", options, (desk) => desk.show(id));
    if (options.json === true) printJson(delivery);
    else printDelivery(delivery);
  });
}

function printDelivery(delivery: ShownDeliveryDetail): void {
  const { id, target_kind, target_id, event, records, attemptList } = delivery;
  const what = event ?? counted(records, "row");
  print(
    `${paint("bold", `delivery/${id}`)}  ${what} for ${target_kind} ${target_id}  ${paintState(delivery)}`,
  );
  const facts: [string, string | null][] = [
    ["run", `${delivery.run_id} of sync ${delivery.sync_id}`],
    ["event id", delivery.event_id],
    ["payload", delivery.payload === null ? null : printable(delivery.payload)],
    ["sha256", delivery.payload_sha256],
    ["created", dayAndTime(delivery.created_at)],
    ["ended", delivery.ended_at === null ? null : dayAndTime(delivery.ended_at)],
    ["redelivered", delivery.redeliveries === 0 ? null : counted(delivery.redeliveries, "time")],
  ];
  for (const [name, value] of facts) if (value !== null) print(`  ${paint("dim", name.padEnd(12))} ${value}`);
  print();
  if (attemptList.length === 0) print("  no attempts yet");
  for (const attempt of attemptList) {
    print(`  ${attemptLine(attempt)}`);
    for (const { exchange } of attempt.exchanges) {
      for (const line of exchangeLines(exchange)) print(`      ${line}`);
    }
  }
}
