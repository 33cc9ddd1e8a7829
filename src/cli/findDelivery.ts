/** Finds a delivery in the read models by its id alone. */
import type { Kysely } from "kysely";
import { InvalidInput, NotFound } from "../domain/errors.ts";
import type { Database } from "../projections/database.ts";
import type { Delivery } from "../projections/deliveries.ts";
import { findDeliveries } from "../projections/deliverySearch.ts";

/**
 * The delivery of that id.
 * @throws NotFound when the read models have none; InvalidInput when several targets have one of that id.
 */
export async function findDelivery(db: Kysely<Database>, id: string): Promise<Delivery> {
  const found = await findDeliveries(db, id);
  const [only, another] = found;
  if (only === undefined) {
    throw new NotFound(
      `there is no delivery ${JSON.stringify(id)}; \`egret deliveries list\` shows the latest, as far as they are kept`,
    );
  }
  if (another === undefined) return only;
  const targets = found.map(({ target_kind, target_id }) => `${target_kind} ${target_id}`).join(", ");
  throw new InvalidInput(`several deliveries have the id ${id}: to ${targets}`);
}
