/** The options by which `egret deliveries list` and `egret replay start` choose deliveries. */
import { type Command, InvalidArgumentError } from "commander";
import type { Kysely } from "kysely";
import { suggestion } from "../configuration/nearest.ts";
import { LIFECYCLE_EVENTS, type LifecycleEvent } from "../domain/lifecycle.ts";
import type { Database } from "../projections/database.ts";
import type { DeliverySearch } from "./desks.ts";
import { findSyncNamed, findWebhookNamed, findWorkspace, type Named } from "./findConfigured.ts";
import { instant } from "./instant.ts";
import { wholeNumber } from "./options.ts";

/** What they hold. */
export interface SearchOptions {
  webhook?: string;
  event?: LifecycleEvent;
  run?: number;
  sync?: string;
  status?: number;
  since?: Date;
  until?: Date;
  workspace?: string;
}

/** The ids of what they name. */
export interface SearchedIds {
  workspace: Named | null;
  webhookId: number | undefined;
  syncId: number | undefined;
}

/** Adds the options. */
export function withSearchOptions(command: Command): Command {
  return command
    .option("--webhook <webhook>", "only those to this webhook, by name or id")
    .option("--event <event>", "only those of this lifecycle event, such as sync.failed", lifecycleEvent)
    .option("--run <id>", "only those of this run", wholeNumber(1, 999_999_999_999_999))
    .option("--sync <sync>", "only those of runs of this sync, by name or id")
    .option("--status <code>", "only those whose last answer was this HTTP status", wholeNumber(100, 599))
    .option("--since <time>", "only those created since: 2026-02-03T14:00:00Z, or how long ago: 2h", instant)
    .option("--until <time>", "only those created before: an instant, or how long ago", instant)
    .option("--workspace <name>", "name or id; needed with names when there are several");
}

function lifecycleEvent(text: string): LifecycleEvent {
  const found = LIFECYCLE_EVENTS.find((event) => event === text || event === `sync.${text}`);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(`That is no lifecycle event.${suggestion(text, LIFECYCLE_EVENTS)}`);
}

/**
 * Looks up what the options name. A workspace is looked up only where a name needs it, or where one is named.
 * @throws NotFound or InvalidInput with the nearest names.
 */
export async function findSearched(
  db: Kysely<Database>,
  { webhook, sync, workspace: wanted }: Pick<DeliverySearch, "webhook" | "sync" | "workspace">,
): Promise<SearchedIds> {
  if (webhook === undefined && sync === undefined && wanted === undefined) {
    return { workspace: null, webhookId: undefined, syncId: undefined };
  }
  const workspace = await findWorkspace(db, wanted);
  return {
    workspace,
    webhookId: webhook === undefined ? undefined : (await findWebhookNamed(db, workspace, webhook)).id,
    syncId: sync === undefined ? undefined : (await findSyncNamed(db, workspace, sync)).id,
  };
}
