/** Ids of the commands of the API's triggers: the same for the same Idempotency-Key, and telling what the run was asked for. */
import { randomUUID } from "node:crypto";
import type { TriggerCommand } from "../../domain/command.ts";
import { sha256Hex } from "../deliveries/deliveryActor.ts";
import { WISHES, type Wish, wishesOf } from "./triggerCommand.ts";

/** Begins them all. */
export const DOOR_PREFIX = "api-";

const LETTERS: Readonly<Record<Wish, string>> = {
  force_full_sync: "f",
  allow_deletes: "d",
  allow_rejects: "r",
};

/** The id of a trigger; `key` is the Idempotency-Key with all that makes it one caller's. */
export function doorCommandId(payload: TriggerCommand, key: readonly (string | number)[] | null): string {
  const letters = wishesOf(payload).map((wish) => LETTERS[wish]);
  const rest = key === null ? randomUUID() : sha256Hex(JSON.stringify(key)).slice(0, 40);
  return `${DOOR_PREFIX}${letters.join("")}-${rest}`;
}

/** What the trigger of that id asked for. */
export function wishesIn(commandId: string): Wish[] {
  const [letters = ""] = commandId.slice(DOOR_PREFIX.length).split("-");
  return WISHES.filter((wish) => letters.includes(LETTERS[wish]));
}
