/** `egret deliveries show <id>`: one delivery with every attempt, and what was said in it as long as that is kept. */
import { Command } from "commander";
import { type Attempt, type Delivery, getDelivery } from "../projections/deliveries.ts";
import { type ReadExchange, readExchanges } from "../projections/exchanges.ts";
import { attemptLine, paintState } from "./deliveryWords.ts";
import { exchangeLines, printable } from "./exchangeLines.ts";
import { findDelivery } from "./findDelivery.ts";
import { counted, dayAndTime } from "./format.ts";
import { findServices, type ReachOptions, withDatabase, withReachOptions } from "./reach.ts";
import { paint, print, printJson } from "./terminal.ts";

interface ShowOptions extends ReachOptions {
  json?: boolean;
}

type ShownDelivery = Delivery & { attemptList: readonly (Attempt & { exchanges: ReadExchange[] })[] };

/** The command. */
export function deliveriesShowCommand(): Command {
  const command = new Command("show")
    .description(
      "show one delivery and every attempt, with headers, answer and timing as long as they are kept",
    )
    .argument("<id>", "id of the delivery, such as 7011-3-14")
    .option("--json", "print one JSON object")
    .addHelpText("after", "\nExample:\n  egret deliveries show 7011-3-14");
  return withReachOptions(command).action(async (id: string, options: ShowOptions) => {
    const reach = await findServices(options);
    const delivery = await withDatabase(reach, async ({ db }) => {
      const found = await findDelivery(db, id);
      const key = { targetKind: found.target_kind, targetId: found.target_id, id: found.id };
      // It was there a moment ago; gone by now, retention took its attempts as well.
      const known = (await getDelivery(db, key)) ?? { ...found, attemptList: [] };
      const attempts = known.attemptList.map(({ started_at, duration_ms }) => ({
        startedAt: started_at,
        durationMs: duration_ms,
      }));
      const exchanges = await readExchanges(db, { ...key, deliveryId: found.id, attempts });
      return withExchanges(known, exchanges);
    });
    if (options.json === true) printJson(delivery);
    else printDelivery(delivery);
  });
}

/** Each attempt with what was said in it: nothing once that is no longer kept, twice when a crash made it happen twice. */
function withExchanges(
  delivery: Delivery & { attemptList: readonly Attempt[] },
  exchanges: readonly ReadExchange[],
): ShownDelivery {
  const attemptList = delivery.attemptList.map((attempt) => ({
    ...attempt,
    exchanges: exchanges.filter((each) => each.attempt === attempt.attempt),
  }));
  return { ...delivery, attemptList };
}

function printDelivery(delivery: ShownDelivery): void {
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
