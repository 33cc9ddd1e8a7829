/** What outsiders may ask of Egret by publishing to `egret.commands.<workspace id>.sync.<verb>`. */
import { z } from "zod";

const sync = z.union([z.string().min(1).max(200), z.int().positive()]).describe("name or id of the sync");

/** Start a run of a sync. */
export const triggerCommandSchema = z.strictObject({
  sync,
  force_full_sync: z.boolean().default(false).describe("send every valid row, changed or not"),
  allow_deletes: z.boolean().optional().describe("pass over max_delete_percent this time"),
  allow_rejects: z.boolean().optional().describe("pass over max_rejected_percent this time"),
  reason: z
    .string()
    .max(500)
    .optional()
    .describe("who or what asks; stands in sync_trigger_reason.ui_detail"),
  requested_via: z
    .enum(["API", "CLI", "Schedule", "Sequence", "Inbound Hook", "dbt Cloud", "JetStream"])
    .default("JetStream")
    .describe(
      "becomes sync_trigger_reason.ui_tag, CLI as Manual; a paused sync takes API, CLI and JetStream",
    ),
  scheduled_execution_time: z.iso
    .datetime()
    .optional()
    .describe("the tick of a schedule, UTC; left out: not scheduled"),
});
export type TriggerCommand = z.infer<typeof triggerCommandSchema>;

const reason = z.string().max(500).optional().describe("who or what asks");
const requestedVia = z.enum(["API", "CLI", "JetStream"]).default("JetStream");

/** Stop a run: a queued one ends at once, a working one once its requests under way have ended. */
export const cancelCommandSchema = z.strictObject({
  run: z.int().positive().describe("id of the run"),
  reason,
  requested_via: requestedVia,
});

/** Work out what a run would do now; nothing is sent and nothing remembered. */
export const dryRunCommandSchema = z.strictObject({
  sync,
  force_full_sync: z.boolean().default(false).describe("as if a full sync were asked for"),
  reason,
  requested_via: requestedVia,
});

/** Send one record; nothing is remembered. */
export const testCommandSchema = z.strictObject({
  sync,
  identifier: z.string().max(2_000).optional().describe("key of the row to send; left out: the first by key"),
  reason,
  requested_via: requestedVia,
});

/** Commands by the verb that ends their subject. */
export const COMMAND_SCHEMAS = {
  trigger: triggerCommandSchema,
  cancel: cancelCommandSchema,
  dry_run: dryRunCommandSchema,
  test: testCommandSchema,
} as const;
export type CommandVerb = keyof typeof COMMAND_SCHEMAS;

/** What a command of that verb says. */
export type CommandPayload<V extends CommandVerb> = z.infer<(typeof COMMAND_SCHEMAS)[V]>;
