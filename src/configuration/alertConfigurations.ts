/** What each sync is watched for, as rows with ids that last: brought in line with the sync's options whenever those change. */
import type { Kysely, Selectable } from "kysely";
import { type AlertSetting, DEFAULT_ALERTS } from "../domain/alert.ts";
import { syncOptionsSchema } from "../domain/syncOptions.ts";
import type { AlertConfigurationTable, Database } from "../projections/database.ts";

/** An alert configuration: its setting, its id, and since when it watches. */
export interface AlertConfiguration {
  id: number;
  workspaceId: number;
  syncId: number;
  setting: AlertSetting;
  since: Date;
}

/** Reads the alerts in a sync's options; left out, a sync has the default ones. */
function settingsOf(alerts: unknown): readonly AlertSetting[] {
  return syncOptionsSchema.shape.alerts.parse(alerts ?? undefined) ?? DEFAULT_ALERTS;
}

/**
 * Makes the configurations of a sync those that its options ask for, inside the transaction of the change. One of the
 * same type and options keeps its id, also when it changes whom it tells and when; any other is new, and what is
 * no longer asked for is deleted.
 */
export async function reconcileAlerts(
  trx: Kysely<Database>,
  { workspaceId, syncId, alerts }: { workspaceId: number; syncId: number; alerts: unknown },
): Promise<void> {
  const left = new Map<string, Selectable<AlertConfigurationTable>[]>();
  for (const row of await activeRows(trx, syncId)) {
    const key = identity(row.type, row.options);
    left.set(key, [...(left.get(key) ?? []), row]);
  }
  for (const setting of settingsOf(alerts)) {
    const { type, send_for, should_send_recovery, options } = setting;
    const same = left.get(identity(type, options))?.shift();
    if (same === undefined) {
      await trx
        .insertInto("egret.alert_configurations")
        .values({
          workspace_id: workspaceId,
          sync_id: syncId,
          type,
          send_for,
          should_send_recovery,
          options: options === null ? null : JSON.stringify(options),
        })
        .execute();
    } else if (same.send_for !== send_for || same.should_send_recovery !== should_send_recovery) {
      await trx
        .updateTable("egret.alert_configurations")
        .set({ send_for, should_send_recovery })
        .where("id", "=", same.id)
        .execute();
    }
  }
  const gone = [...left.values()].flat().map(({ id }) => id);
  if (gone.length > 0) await markDeleted(trx, gone);
}

/** Deletes the configurations of a sync that goes away. */
export async function deleteAlerts(trx: Kysely<Database>, syncId: number): Promise<void> {
  const gone = (await activeRows(trx, syncId)).map(({ id }) => id);
  if (gone.length > 0) await markDeleted(trx, gone);
}

/** What a sync is watched for now, in the order in which it was configured. */
export async function readAlertConfigurations(
  db: Kysely<Database>,
  syncId: number,
): Promise<AlertConfiguration[]> {
  return (await activeRows(db, syncId)).map(asAlertConfiguration);
}

/** Configurations of a sync that were deleted, and whose open alert may have to be closed yet. */
export async function readUnclosedAlerts(
  db: Kysely<Database>,
  syncId: number,
): Promise<AlertConfiguration[]> {
  const rows = await db
    .selectFrom("egret.alert_configurations")
    .selectAll()
    .where("sync_id", "=", syncId)
    .where("deleted_at", "is not", null)
    .where("closed_at", "is", null)
    .orderBy("id")
    .execute();
  return rows.map(asAlertConfiguration);
}

async function activeRows(db: Kysely<Database>, syncId: number) {
  return db
    .selectFrom("egret.alert_configurations")
    .selectAll()
    .where("sync_id", "=", syncId)
    .where("deleted_at", "is", null)
    .orderBy("id")
    .execute();
}

async function markDeleted(trx: Kysely<Database>, ids: number[]): Promise<void> {
  await trx
    .updateTable("egret.alert_configurations")
    .set({ deleted_at: new Date() })
    .where("id", "in", ids)
    .execute();
}

/** A row as a configuration. */
export function asAlertConfiguration(row: Selectable<AlertConfigurationTable>): AlertConfiguration {
  const { id, workspace_id, sync_id, type, send_for, should_send_recovery, options, created_at } = row;
  // It was checked when it was written.
  const setting = { type, send_for, should_send_recovery, options } as unknown as AlertSetting;
  return { id, workspaceId: workspace_id, syncId: sync_id, setting, since: created_at };
}

/** The same for the same type and options, whatever the order in which jsonb gives the options back. */
function identity(type: string, options: object | null): string {
  return JSON.stringify([type, Object.entries(options ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))]);
}
