/** Ids of the commands of the API's triggers: the same for the same Idempotency-Key. */
import { randomUUID } from "node:crypto";
import { sha256Hex } from "../deliveries/deliveryActor.ts";

/** Begins them all. */
export const DOOR_PREFIX = "api-";

/** The id of a trigger; `key` is the Idempotency-Key with all that makes it one caller's. */
export function doorCommandId(key: readonly (string | number)[] | null): string {
  return DOOR_PREFIX + (key === null ? randomUUID() : sha256Hex(JSON.stringify(key)).slice(0, 40));
}
