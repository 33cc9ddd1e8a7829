/** A key of a workspace as the management API shows it: all but the key itself. */
import { z } from "@hono/zod-openapi";
import type { ApiToken } from "../../../configuration/apiTokens.ts";
import { SCOPES } from "../../../security/apiToken.ts";
import { instant, instantOrNull } from "../answers.ts";

/** In the document. */
export const apiKeySchema = z
  .object({
    id: z.int(),
    name: z.string(),
    scopes: z.array(z.enum(SCOPES)),
    created_by: z.string(),
    created_at: z.iso.datetime(),
    last_used_at: z.iso.datetime().nullable().openapi({ description: "to the minute" }),
    expires_at: z.iso.datetime().nullable(),
    revoked_at: z.iso.datetime().nullable(),
  })
  .openapi("ApiKey");

/** The object. */
export function presentApiKey(token: ApiToken): z.infer<typeof apiKeySchema> {
  return {
    id: token.id,
    name: token.name,
    scopes: token.scopes,
    created_by: token.createdBy,
    created_at: instant(token.createdAt),
    last_used_at: instantOrNull(token.lastUsedAt),
    expires_at: instantOrNull(token.expiresAt),
    revoked_at: instantOrNull(token.revokedAt),
  };
}
