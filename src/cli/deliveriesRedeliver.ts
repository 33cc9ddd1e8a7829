/** `egret deliveries redeliver <id>`: sends an ended delivery again, with the same id and the same bytes. */
import { Command } from "commander";
import { AppError, InvalidInput, NotFound } from "../domain/errors.ts";
import type { Delivery } from "../projections/deliveries.ts";
import { deliveryAggregate } from "../runtime/deliveryActor.ts";
import { type Redelivery, redeliver } from "../runtime/redeliver.ts";
import { redeliveryDesk } from "../runtime/redeliveryDesk.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { findDelivery } from "./findDelivery.ts";
import { findServices, type ReachOptions, withDatabase, withLog, withReachOptions } from "./reach.ts";
import { print, printJson } from "./terminal.ts";

interface RedeliverOptions extends ReachOptions {
  json?: boolean;
}

/** The command. */
export function deliveriesRedeliverCommand(): Command {
  const command = new Command("redeliver")
    .description("send an ended delivery again: same id, same bytes, the whole schedule once more")
    .argument("<id>", "id of the delivery, such as 7011-3-14")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `\nReceivers that know X-Event-Id or webhook-id see that they had it before. For many at once: egret replay.\n` +
        `${EXIT_CODES_HELP}\n\nExample:\n  egret deliveries redeliver 7011-3-14`,
    );
  return withReachOptions(command).action(async (id: string, options: RedeliverOptions) => {
    const reach = await findServices(options);
    const begun = await withDatabase(reach, async ({ db }) => {
      const delivery = await findDelivery(db, id);
      const aggregate = deliveryAggregate({ ...delivery, delivery_id: delivery.id });
      const asked = { by: "egret deliveries redeliver", replayId: null };
      const outcome = await withLog(reach, ({ log }) =>
        redeliver({ log, desk: redeliveryDesk(db) }, aggregate, asked),
      );
      if (outcome.kind !== "redelivered") throw refusal(delivery, outcome);
      return outcome.event.event;
    });
    if (options.json === true) printJson({ delivery_id: id, state: begun.state, version: begun.version });
    else print(`delivery ${id} begins again; see how it goes with: egret deliveries show ${id}`);
  });
}

/** Why it cannot be sent again, and what to do instead. */
function refusal(
  { id, target_kind, target_id }: Delivery,
  outcome: Exclude<Redelivery, { kind: "redelivered" }>,
): AppError {
  const target = `${target_kind} ${target_id}`;
  switch (outcome.kind) {
    case "not_found":
      return new NotFound(`the log has no delivery ${id} any more: delivery events are kept for a time only`);
    case "not_ended":
    case "already":
      return new InvalidInput(`delivery ${id} is under way: wait until it has ended`);
    case "target_deleted":
      return new InvalidInput(`delivery ${id} cannot be sent again: ${target} was deleted`);
    case "target_disabled":
      return new InvalidInput(
        `delivery ${id} cannot be sent again while ${target} is disabled: run \`egret webhook enable ${target_id}\` first`,
      );
    case "not_kept":
      if (outcome.what === "history") {
        return new InvalidInput(
          `delivery ${id} cannot be sent again: the log no longer holds the whole of its history`,
        );
      }
      return new InvalidInput(
        `batch ${id} cannot be sent again: its rows may have newer values by now. Trigger its sync instead ` +
          "(`egret trigger <sync>`): rows that were not accepted are found and sent by its next run, and with --full all are",
      );
  }
}
