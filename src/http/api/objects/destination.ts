/** A destination as the API shows it and looks it up; of its credentials only what is no secret. */
import { z } from "@hono/zod-openapi";
import type { Kysely } from "kysely";
import { findDestinationType } from "../../../configuration/destinationTypes.ts";
import { HIDDEN_SECRET } from "../../../configuration/mergeCredentials.ts";
import { secretPurpose } from "../../../configuration/secretPurpose.ts";
import { NotFound } from "../../../domain/errors.ts";
import type { Database } from "../../../projections/database.ts";
import { redactUrl } from "../../../security/redact.ts";
import type { SecretBox } from "../../../security/secretBox.ts";
import { instant, instantOrNull } from "../answers.ts";
import { healthSchema, presentHealth } from "./health.ts";

export const destinationSchema = z
  .object({
    id: z.int(),
    name: z.string(),
    type: z.string().openapi({ example: "webhook" }),
    connection_details: z.record(z.string(), z.unknown()).openapi({
      description:
        "the settings, and of secrets only that they are set, as `***`; what is sent back so stays as it is",
    }),
    paused: z.boolean(),
    last_test_succeeded: z.boolean().nullable().openapi({ description: "null: never tested" }),
    last_tested_at: z.iso.datetime().nullable(),
    health: healthSchema,
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .openapi("Destination");

/** A destination with what is known of how it answers. */
export type DestinationRow = Awaited<ReturnType<ReturnType<typeof selectDestinations>["execute"]>>[number];

/** Query over the destinations of a workspace. */
export function selectDestinations(db: Kysely<Database>, workspaceId: number) {
  return db
    .selectFrom("egret.destinations as destination")
    .leftJoin("egret_read.endpoints as endpoint", (join) =>
      join.onRef("endpoint.target_id", "=", "destination.id").on("endpoint.target_kind", "=", "destination"),
    )
    .where("destination.workspace_id", "=", workspaceId)
    .selectAll("destination")
    .select(["endpoint.state", "endpoint.since", "endpoint.consecutive_failures", "endpoint.outages"])
    .select(["endpoint.last_error", "endpoint.last_http_status", "endpoint.next_probe_at"]);
}

/**
 * The destination of a workspace.
 * @throws NotFound when it has none of that id.
 */
export async function readDestinationRow(
  db: Kysely<Database>,
  { workspaceId, id }: { workspaceId: number; id: number },
): Promise<DestinationRow> {
  const row = await selectDestinations(db, workspaceId).where("destination.id", "=", id).executeTakeFirst();
  if (row === undefined) throw new NotFound(`there is no destination ${id}`);
  return row;
}

/** The destination as clients read it. */
export function presentDestination(row: DestinationRow, box: SecretBox): z.infer<typeof destinationSchema> {
  return {
    id: row.id,
    name: row.label ?? row.name,
    type: row.type,
    connection_details: connectionDetails(row, box),
    paused: row.paused,
    last_test_succeeded: row.last_test_succeeded,
    last_tested_at: instantOrNull(row.last_tested_at),
    health: presentHealth(row),
    created_at: instant(row.created_at),
    updated_at: instant(row.updated_at),
  };
}

/** Settings with their addresses as they may be shown, and the names of the secrets that are set. */
function connectionDetails(row: DestinationRow, box: SecretBox): Record<string, unknown> {
  const secrets = JSON.parse(
    box.open(secretPurpose("destination", row.workspace_id, row.name), row.secret),
  ) as Record<string, unknown>;
  const { oauth_client_secret: clientSecret, ...hidden } = secrets;
  const details: Record<string, unknown> = { ...row.settings };
  if (typeof details["url"] === "string") details["url"] = redactUrl(details["url"]);
  const { oauth } = details;
  if (typeof oauth === "object" && oauth !== null) {
    const { token_url: tokenUrl, ...rest } = oauth as { token_url?: unknown };
    const shownUrl = typeof tokenUrl === "string" ? { token_url: redactUrl(tokenUrl) } : {};
    details["oauth"] = {
      ...shownUrl,
      ...rest,
      ...(clientSecret === undefined ? {} : { client_secret: HIDDEN_SECRET }),
    };
  }
  for (const [name, value] of Object.entries(hidden)) details[name] = hiddenValue(value);
  // In the order in which the kind describes them, whatever jsonb made of it.
  const order = findDestinationType(row.type)?.fields.map(({ id }) => id) ?? [];
  const known = order.filter((name) => details[name] !== undefined);
  return Object.fromEntries(known.map((name) => [name, details[name]]));
}

/** Of a map of secrets the names. */
function hiddenValue(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return HIDDEN_SECRET;
  return Object.fromEntries(Object.keys(value).map((name) => [name, HIDDEN_SECRET]));
}
