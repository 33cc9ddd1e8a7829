/** A link to a page for a person, as the API shows it. */
import { z } from "@hono/zod-openapi";
import { linkFault, type ShownLink } from "../../../configuration/links.ts";
import { linkAddress } from "../../pages/linkAddress.ts";
import { instant, instantOrNull } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";

/** In the document (api-clients.md 1.3, 2; `used`, `redirect_uri` and `created_at` are ours). */
export const linkSchema = z
  .object({
    id: z.int(),
    type: z.string().nullable().openapi({ description: "of the source or destination" }),
    uri: z.url().openapi({
      description:
        "the page; it has a query, to which more can be added. As secret as what it gives access to",
    }),
    revoked: z.boolean(),
    expired: z
      .boolean()
      .openapi({ description: "it cannot be used any more: `revoked` and `used` say more" }),
    expiration: z.iso.datetime(),
    used: z.boolean(),
    used_at: z.iso.datetime().nullable(),
    source_id: z.int().nullable().openapi({ description: "what it is for, or what was made with it" }),
    destination_id: z.int().nullable(),
    sync_id: z.int().nullable(),
    redirect_uri: z.string().nullable(),
    created_at: z.iso.datetime(),
  })
  .openapi("Link");

/** A link in the API's form. */
export function presentLink(
  { publicUrl, now }: Pick<ApiDesk, "publicUrl" | "now">,
  link: ShownLink,
): z.infer<typeof linkSchema> {
  return {
    id: link.id,
    type: link.type,
    uri: linkAddress(publicUrl(), link.token, link.id),
    revoked: link.revoked_at !== null,
    expired: linkFault(link, now()) !== null,
    expiration: instant(link.expires_at),
    used: link.used_at !== null,
    used_at: instantOrNull(link.used_at),
    source_id: link.source_id,
    destination_id: link.destination_id,
    sync_id: link.sync_id,
    redirect_uri: link.redirect_uri,
    created_at: instant(link.created_at),
  };
}
