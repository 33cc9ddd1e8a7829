/**
 * Makes, changes and deletes one configured object at a time, for the API: the stored objects are read as the entries of
 * an egret.yaml, one of them is edited, the very checks of `egret apply` are made, and that one change is written.
 */
import { type Kysely, sql, type Transaction } from "kysely";
import type { ConfigKind } from "../domain/aggregate.ts";
import { InUse, InvalidInput } from "../domain/errors.ts";
import type { Database } from "../projections/database.ts";
import type { SecretBox } from "../security/secretBox.ts";
import { announce } from "./announce.ts";
import { type ConfigItem, changedFields, type StoredItem } from "./configItem.ts";
import type { ExpectedVersions } from "./expectedVersions.ts";
import { createItem, deleteItem, keepColumns, type Upkeep, updateItem } from "./itemWriter.ts";
import { type CheckedObject, checkObject as checkOne } from "./objectChecks.ts";
import { type EntryOf, entryOf, type ObjectKind } from "./objectEntries.ts";
import { nameFor } from "./objectNames.ts";
import { invalidObject, labelFaults, textFaults } from "./objectProblems.ts";
import { changing, findItem, type Look, lockedItems, readItems } from "./objectTransaction.ts";
import { namesOf, usersOf } from "./objectUses.ts";
import type { DescribeObject } from "./sourceChecks.ts";
import { moveSwitch } from "./webhookSwitch.ts";

export type { EntryOf, ObjectKind } from "./objectEntries.ts";

/** What the desk works with. */
export interface ObjectDesk {
  db: Kysely<Database>;
  box: SecretBox;
  /** With short time limits: a request waits for it. */
  describe: DescribeObject;
  /** EGRET_ALLOW_HTTP. */
  allowHttp: boolean;
  /** EGRET_OUTBOUND_ALLOW. */
  outboundAllow: readonly string[];
}

type Attributes = Readonly<Record<string, unknown>>;

/** A new object; `label` is what people call it, null only for a sync without one. */
export interface NewObject<K extends ObjectKind> {
  workspaceId: number;
  /** Who, for the events. */
  actor: string;
  kind: K;
  label: string | null;
  entry: EntryOf[K];
  /** Of a model or sync: fields that are kept for the client. */
  attributes?: Attributes;
}

/** A change of one object; what is left out stays. */
export interface ObjectChange<K extends ObjectKind> {
  workspaceId: number;
  actor: string;
  kind: K;
  id: number;
  expectedVersions: ExpectedVersions;
  label?: string | null;
  /** May be called several times; gets and gives entries, and has no effects. */
  edit?(entry: EntryOf[K]): EntryOf[K];
  /** Merged over those that stand. */
  attributes?: Attributes;
  /** Of a destination, webhook or sync: what an operator sets by `egret … pause` and `resume`. */
  pausedByHand?: boolean;
  /** Of a webhook: what an operator sets by `egret webhook enable` and `disable`. */
  switchedByHand?: boolean;
}

/** What was made; the secret of a webhook can be read this once. */
export interface MadeObject {
  id: number;
  name: string;
  webhookSecret: string | null;
}

/**
 * Makes an object that belongs to the API: no `egret apply` changes or deletes it, unless its file declares one of the same name.
 * @throws InvalidInput with every fault, `field` relative to the entry (`label` for the name); NotFound without such a workspace.
 */
export async function createObject<K extends ObjectKind>(
  desk: ObjectDesk,
  input: NewObject<K>,
): Promise<MadeObject> {
  return changing(desk, input, {
    prepare: (look) => prepareNew(desk, input, look),
    write: async ({ trx, items }, checked) => {
      const { item } = checked;
      const { attributes = {} } = input;
      const upkeep = { managedBy: "api", label: labelColumn(input), attributes } as const;
      const { id, webhookSecret } = await createItem(
        writerOf(desk, { trx, items, workspaceId: input.workspaceId }),
        item,
        fitting(item.kind, upkeep),
      );
      if (checked.columns !== null) await keepColumns(trx, id, checked.columns);
      await announce({ ...input, trx }, "created", { ...item, ...upkeep, id, version: 1 });
      return { id, name: item.name, webhookSecret };
    },
  });
}

/**
 * Makes the checks of `createObject` and changes nothing.
 * @throws the same.
 */
export async function checkObject<K extends ObjectKind>(
  desk: ObjectDesk,
  input: NewObject<K>,
): Promise<void> {
  const items = await readItems(desk.db, desk.box, input.workspaceId);
  await prepareNew(desk, input, { items, describe: desk.describe });
}

/** An object and what a change would make of it, among all of its workspace. Holds decrypted secrets: never logged. */
export interface CheckedChange {
  before: StoredItem;
  after: ConfigItem;
  /** All as they would be. */
  items: readonly ConfigItem[];
}

/**
 * Makes the checks of `updateObject` and changes nothing.
 * @throws the same.
 */
export async function checkChange<K extends ObjectKind>(
  desk: ObjectDesk,
  input: ObjectChange<K>,
): Promise<CheckedChange> {
  const items = await readItems(desk.db, desk.box, input.workspaceId);
  const before = findItem(items, input);
  const { item: after } = await prepareChange(desk, input, { items, describe: desk.describe, before });
  return { before, after, items: items.map((item) => (item === before ? after : item)) };
}

/**
 * Changes an object, whoever made it; writes nothing when nothing differs. Its short name stays.
 * @throws InvalidInput as `createObject`; NotFound for an id that the workspace does not have; VersionConflict when it
 * is no longer of the expected version.
 */
export async function updateObject<K extends ObjectKind>(
  desk: ObjectDesk,
  input: ObjectChange<K>,
): Promise<void> {
  await changing(desk, input, {
    prepare: async (look) => {
      const before = findItem(look.items, input);
      return { before, checked: await prepareChange(desk, input, { ...look, before }) };
    },
    write: async ({ trx, items }, { before, checked }) => {
      const upkeep = upkeepOf(input, before);
      const isPauseMoved = await setPausedByHand(trx, input);
      const isSwitchMoved = await setSwitchedByHand(trx, input);
      const isSame = changedFields(before, checked.item).length === 0 && isKept(before, upkeep);
      if (isSame && !isPauseMoved && !isSwitchMoved) return;
      const next = { ...checked.item, id: before.id, version: before.version + 1 };
      await updateItem(
        writerOf(desk, { trx, items, workspaceId: input.workspaceId }),
        next,
        fitting(input.kind, upkeep),
      );
      if (checked.columns !== null) await keepColumns(trx, before.id, checked.columns);
      await announce({ ...input, trx }, "updated", { ...before, ...upkeep, ...next });
    },
  });
}

/**
 * Deletes an object, with a sync its state.
 * What runs after a sync that goes does so no longer.
 * @throws InUse when others refer to it, or a run of the sync is under way; NotFound; VersionConflict.
 */
export async function deleteObject(
  { db, box }: Pick<ObjectDesk, "db" | "box">,
  input: Pick<ObjectChange<ObjectKind>, "workspaceId" | "actor" | "kind" | "id" | "expectedVersions">,
): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const items = await lockedItems(trx, box, input.workspaceId);
    const item = findItem(items, input);
    const users = usersOf(items, item);
    if (item.kind === "sync") {
      // What ran after it goes on, started by whatever else starts it (behaviour.md 3.6).
      for (const follower of users) await unfollow({ box, trx, items }, { ...input, follower });
    } else if (users.length > 0) {
      const what = `${item.kind} ${item.name} is used by ${namesOf(users)}`;
      throw new InUse(`${what}: delete ${users.length === 1 ? "that" : "those"} first.`);
    }
    await deleteItem(trx, item).catch((error: unknown) => {
      if (!(error instanceof InvalidInput)) throw error;
      throw new InUse(`A run of sync ${item.name} is under way: cancel it, or wait until it has ended.`, {
        cause: error,
      });
    });
    await announce({ ...input, trx }, "deleted", { ...item, version: item.version + 1 });
  });
}

/** Ends that a sync runs after another. */
async function unfollow(
  { box, trx, items }: { box: SecretBox; trx: Transaction<Database>; items: readonly StoredItem[] },
  { follower, ...by }: { follower: StoredItem; workspaceId: number; actor: string },
): Promise<void> {
  const { sync_sequence: _former, ...settings } = follower.settings;
  const next = { ...follower, settings, version: follower.version + 1 };
  await updateItem(writerOf({ box }, { trx, items, workspaceId: by.workspaceId }), next, {});
  await announce({ ...by, trx }, "updated", next);
}

function prepareNew<K extends ObjectKind>(
  { allowHttp, outboundAllow }: ObjectDesk,
  { kind, label, entry, attributes = {} }: NewObject<K>,
  { items, describe }: Look,
): Promise<CheckedObject> {
  refuseUpkeep(kind, { label, attributes });
  const taken = new Set(items.filter((item) => item.kind === kind).map(({ name }) => name));
  const name = nameFor(label?.trim() ?? kind, kind, taken);
  const labelled = kind === "sync" ? withSyncLabel(entry, label) : entry;
  const outbound = { allowHttp, outboundAllow };
  return checkOne({ kind, name, entry: labelled, before: null, items, describe, outbound });
}

function prepareChange<K extends ObjectKind>(
  { allowHttp, outboundAllow }: ObjectDesk,
  { kind, label, attributes = {}, edit = (entry) => entry }: ObjectChange<K>,
  { items, describe, before }: Look & { before: StoredItem },
): Promise<CheckedObject> {
  refuseUpkeep(kind, { label, attributes });
  const edited = edit(entryOf(kind, before));
  const entry = kind === "sync" && label !== undefined ? withSyncLabel(edited, label) : edited;
  const outbound = { allowHttp, outboundAllow };
  return checkOne({ kind, name: before.name, entry, before, items, describe, outbound });
}

function refuseUpkeep(
  kind: ObjectKind,
  { label, attributes }: { label?: string | null | undefined; attributes: Attributes },
): void {
  const unnamed =
    kind === "sync" || label === undefined ? [] : [{ field: "label", message: "Give it a name." }];
  const faults = typeof label === "string" ? labelFaults(label) : unnamed;
  const all = [...faults, ...textFaults(attributes, "")];
  if (all.length > 0) throw invalidObject(all);
}

/** Of a sync the label is one of its own fields. */
function withSyncLabel<K extends ObjectKind>(entry: EntryOf[K], label: string | null): EntryOf[K] {
  const labelled: EntryOf["sync"] = { ...(entry as EntryOf["sync"]) };
  if (label === null) delete labelled.label;
  else labelled.label = label.trim();
  return labelled as EntryOf[K];
}

function labelColumn({ kind, label }: { kind: ObjectKind; label: string | null }): string | null {
  return kind === "sync" || label === null ? null : label.trim();
}

function upkeepOf<K extends ObjectKind>(
  { kind, label, attributes = {} }: ObjectChange<K>,
  before: StoredItem,
): Required<Omit<Upkeep, "managedBy">> {
  return {
    label: label === undefined ? before.label : labelColumn({ kind, label }),
    attributes: { ...before.attributes, ...attributes },
  };
}

function isKept(before: StoredItem, { label, attributes }: Required<Omit<Upkeep, "managedBy">>): boolean {
  const whole = (value: Attributes): ConfigItem => ({
    kind: "sync",
    name: "",
    settings: value,
    secrets: {},
  });
  return before.label === label && changedFields(whole(before.attributes), whole(attributes)).length === 0;
}

/** Only what the kind has columns for. */
function fitting(kind: ConfigKind, { managedBy, label, attributes }: Upkeep): Upkeep {
  return {
    ...(managedBy === undefined ? {} : { managedBy }),
    ...(kind === "sync" || label === undefined ? {} : { label }),
    ...((kind === "sync" || kind === "model") && attributes !== undefined ? { attributes } : {}),
  };
}

function writerOf(
  { box }: Pick<ObjectDesk, "box">,
  at: { trx: Transaction<Database>; items: readonly StoredItem[]; workspaceId: number },
) {
  return {
    trx: at.trx,
    box,
    workspaceId: at.workspaceId,
    idOf: (kind: ConfigKind, name: string): number => {
      const item = at.items.find((each) => each.kind === kind && each.name === name);
      // References were checked against the same items.
      if (item === undefined) throw new Error(`${kind} ${name} is not there`);
      return item.id;
    },
  };
}

const PAUSED_IN = {
  destination: "egret.destinations",
  webhook: "egret.webhooks",
  sync: "egret.syncs",
} as const;

/** Whether that moved anything. */
async function setPausedByHand(
  trx: Transaction<Database>,
  { kind, id, pausedByHand }: ObjectChange<ObjectKind>,
): Promise<boolean> {
  if (pausedByHand === undefined || kind === "source" || kind === "model") return false;
  const { numAffectedRows } = await sql`
    update ${sql.table(PAUSED_IN[kind])} set paused = ${pausedByHand}
    where id = ${id} and paused <> ${pausedByHand}`.execute(trx);
  return numAffectedRows === 1n;
}

/** Whether that moved anything. */
async function setSwitchedByHand(
  trx: Transaction<Database>,
  { kind, id, switchedByHand: enabled }: ObjectChange<ObjectKind>,
): Promise<boolean> {
  if (enabled === undefined || kind !== "webhook") return false;
  return moveSwitch(trx, id, enabled ? { enabled } : { enabled, reason: "operator" });
}
