/** What `egret apply` would do: the file held against its sources and against what is configured now. */
import type { Kysely } from "kysely";
import type { Database } from "../projections/database.ts";
import type { SecretBox } from "../security/secretBox.ts";
import {
  type Change,
  type ConfigItem,
  changesBetween,
  type DisabledElsewhere,
  itemsOfFile,
} from "./configItem.ts";
import type { EgretFile } from "./egretFile.ts";
import { invalidFile } from "./fileProblem.ts";
import { stillUsed, stillUsedMessage } from "./objectUses.ts";
import { type Column, checkSources, type DescribeObject } from "./sourceChecks.ts";
import { readStoredItems } from "./storedItems.ts";

/** A plan that was made and can be applied. `items` hold decrypted secrets: never logged. */
export interface Plan {
  workspace: string;
  /** Safe to show: secrets only as changed. */
  changes: Change[];
  items: ConfigItem[];
  /** Of each model, as its source describes them now. */
  columns: ReadonlyMap<string, readonly Column[]>;
  /** Webhooks that the file would have enabled, and that stay disabled: applying does not switch them on again. */
  staysDisabled: ({ name: string } & DisabledElsewhere)[];
}

/**
 * Checks the file against its sources and lists what has to change; changes nothing.
 * @throws InvalidInput with every fault that the sources find, each with its place; or naming what the API made and
 * what uses something that the file no longer has.
 */
export async function planChanges(input: {
  db: Kysely<Database>;
  box: SecretBox;
  file: EgretFile;
  describe: DescribeObject;
}): Promise<Plan> {
  const { db, box, file, describe } = input;
  const { problems, mappings, columns } = await checkSources(file, describe);
  if (problems.length > 0) throw invalidFile(file.path, problems);
  const items = itemsOfFile(file, mappings);
  const stored = await readStoredItems(db, box, file.workspace);
  const changes = changesBetween(stored, items);
  const used = stillUsed(stored, changes).map((use) =>
    file.problemAt([`${use.kind}s`, use.name], stillUsedMessage(use)),
  );
  if (used.length > 0) throw invalidFile(file.path, used);
  const staysDisabled = stored.flatMap(({ kind, name, disabled }) => {
    const wanted = items.find((item) => item.kind === kind && item.name === name);
    return disabled !== undefined && wanted?.settings["enabled"] === true ? [{ name, ...disabled }] : [];
  });
  return { workspace: file.workspace, changes, items, columns, staysDisabled };
}

/** True when applying the plan would do something. */
export function hasChanges(plan: Plan): boolean {
  return plan.changes.some((change) => change.action !== "unchanged");
}
