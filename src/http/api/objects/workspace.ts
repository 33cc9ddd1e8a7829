/** A workspace as the management API shows it (behaviour.md 1.2; api-clients.md 2). */
import { z } from "@hono/zod-openapi";
import type { Selectable } from "kysely";
import type { WorkspaceTable } from "../../../projections/configurationTables.ts";
import { instant } from "../answers.ts";

/** Egret has no organizations above its workspaces; clients read a number. Source: ours. */
const ORGANIZATION_ID = 1;

/** In the document. */
export const workspaceSchema = z
  .object({
    id: z.int(),
    name: z.string(),
    organization_id: z.int(),
    notification_emails: z.array(z.string()),
    created_at: z.iso.datetime(),
  })
  .openapi("Workspace");

/** The object. */
export function presentWorkspace(row: Selectable<WorkspaceTable>): z.infer<typeof workspaceSchema> {
  return {
    id: row.id,
    name: row.label ?? row.name,
    organization_id: ORGANIZATION_ID,
    notification_emails: row.notification_emails,
    created_at: instant(row.created_at),
  };
}
