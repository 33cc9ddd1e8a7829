/** Which configured objects use another: what is used cannot go. */
import type { Change, ConfigItem, StoredItem } from "./configItem.ts";

type Named = Pick<ConfigItem, "kind" | "name">;

/** The objects that refer to one, in the order in which they are given. */
export function usersOf<T extends ConfigItem>(items: readonly T[], { kind, name }: Named): T[] {
  return items.filter(({ kind: userKind, settings }) => {
    if (userKind === "model") return kind === "source" && settings["source"] === name;
    if (userKind !== "sync") return false;
    if (kind === "sync") return settings["sync_sequence"] === name;
    return kind === "webhook" || kind === "workspace" ? false : settings[kind] === name;
  });
}

/** `sync orders, model customers`. */
export function namesOf(items: readonly Named[]): string {
  return items.map(({ kind, name }) => `${kind} ${name}`).join(", ");
}

/** What a file's changes would delete although the API made something that uses it and stays. */
export function stillUsed(
  stored: readonly StoredItem[],
  changes: readonly Change[],
): (Named & { users: StoredItem[] })[] {
  const changed = (item: Named): Change | undefined =>
    changes.find(({ kind, name }) => kind === item.kind && name === item.name);
  // What the file declares was checked with the file.
  const staying = stored.filter((item) => item.managedBy === "api" && changed(item) === undefined);
  return changes
    .filter(({ action }) => action === "delete")
    .map(({ kind, name }) => ({ kind, name, users: usersOf(staying, { kind, name }) }))
    .filter(({ users }) => users.length > 0);
}

/** The fault of removing something from a file that the API's objects use. */
export function stillUsedMessage({ kind, name, users }: ReturnType<typeof stillUsed>[number]): string {
  return `The ${kind} "${name}" is used by ${namesOf(users)}, made through the API; leave it in the file, or delete that first.`;
}
