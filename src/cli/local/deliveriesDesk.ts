/** Deliveries over the read models; sent again through the log. */
import type { Kysely } from "kysely";
import { AppError, InvalidInput, NotFound } from "../../domain/errors.ts";
import type { Database } from "../../projections/database.ts";
import type { Delivery } from "../../projections/deliveries.ts";
import { readDeliveryDetail } from "../../projections/deliveryDetail.ts";
import { searchDeliveries } from "../../projections/deliverySearch.ts";
import { deliveryAggregate } from "../../runtime/deliveries/deliveryActor.ts";
import { type Redelivery, redeliver } from "../../runtime/deliveries/redeliver.ts";
import { redeliveryDesk } from "../../runtime/deliveries/redeliveryDesk.ts";
import type { DeliveriesDesk, DeliverySearch } from "../desks.ts";
import { findDestinationNamed, findWorkspace } from "../findConfigured.ts";
import { findDelivery } from "../findDelivery.ts";
import { findServices, type ReachOptions, withDatabase, withLog } from "../reach.ts";
import { findSearched } from "../searchOptions.ts";

/** The desk. */
export async function localDeliveriesDesk(options: ReachOptions): Promise<DeliveriesDesk> {
  const reach = await findServices(options);
  return {
    list: (search) =>
      withDatabase(reach, async ({ db }) => {
        const { state, run: runId, status: httpStatus, event, since, until, after, limit } = search;
        const states = state === undefined ? undefined : [state];
        const target = await targetOf(db, search);
        const rows = await searchDeliveries(db, {
          ...target,
          states,
          event,
          runId,
          httpStatus,
          since,
          until,
          after,
          limit,
        });
        return { rows, names: await targetNames(db) };
      }),
    show: (id) => withDatabase(reach, async ({ db }) => readDeliveryDetail(db, await findDelivery(db, id))),
    redeliver: (id) =>
      withDatabase(reach, async ({ db }) => {
        const delivery = await findDelivery(db, id);
        const aggregate = deliveryAggregate({ ...delivery, delivery_id: delivery.id });
        const asked = { by: "egret deliveries redeliver", replayId: null };
        const outcome = await withLog(reach, ({ log }) =>
          redeliver({ log, desk: redeliveryDesk(db) }, aggregate, asked),
        );
        if (outcome.kind !== "redelivered") throw refusal(delivery, outcome);
        return outcome.event.event;
      }),
  };
}

async function targetOf(db: Kysely<Database>, search: DeliverySearch) {
  const { workspace, webhookId, syncId } = await findSearched(db, search);
  const scope = { workspaceId: workspace?.id, syncId };
  if (webhookId !== undefined) return { ...scope, targetKind: "webhook" as const, targetId: webhookId };
  if (search.destination === undefined) return scope;
  const within = workspace ?? (await findWorkspace(db, search.workspace));
  const { id } = await findDestinationNamed(db, within, search.destination);
  return { ...scope, targetKind: "destination" as const, targetId: id };
}

/** Those that were deleted have none any more. */
async function targetNames(db: Kysely<Database>): Promise<Map<string, string>> {
  const [webhooks, destinations] = await Promise.all([
    db.selectFrom("egret.webhooks").select(["id", "name"]).execute(),
    db.selectFrom("egret.destinations").select(["id", "name"]).execute(),
  ]);
  return new Map([
    ...webhooks.map(({ id, name }) => [`webhook/${id}`, name] as const),
    ...destinations.map(({ id, name }) => [`destination/${id}`, name] as const),
  ]);
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
