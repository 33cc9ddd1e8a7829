/** What outsiders may ask of Egret by publishing to `egret.commands.<workspace id>.sync.<verb>`. */
import { z } from "zod";

const sync = z.union([z.string().min(1).max(200), z.int().positive()]).describe("name or id of the sync");

/** Start a run of a sync. */
export const triggerCommandSchema = z.strictObject({
  sync,
  force_full_sync: z.boolean().default(false).describe("send every valid row, changed or not"),
  reason: z
    .string()
    .max(500)
    .optional()
    .describe("who or what asks; stands in sync_trigger_reason.ui_detail"),
  requested_via: z.enum(["API", "CLI", "Schedule", "JetStream"]).default("JetStream"),
});
export type TriggerCommand = z.infer<typeof triggerCommandSchema>;

/** Commands by the verb that ends their subject. */
export const COMMAND_SCHEMAS = { trigger: triggerCommandSchema } as const;
export type CommandVerb = keyof typeof COMMAND_SCHEMAS;
