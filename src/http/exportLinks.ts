/** `GET /exports/<token>`: all rows of a run as a file. The token is the address; it says what, for whom and until when. */
import { Hono } from "hono";
import { z } from "zod";
import { InvalidInput, toError } from "../domain/errors.ts";
import { EXPORT_FORMATS, type ExportForm, exportTexts, RECORD_OPERATIONS } from "../engine/recordExport.ts";
import { areRecordsKept } from "../engine/recordQueries.ts";
import { RECORD_STATUSES, type RecordFilter } from "../engine/records.ts";
import type { SecretBox } from "../security/secretBox.ts";
import type { ApiDesk } from "./api/apiDesk.ts";
import type { NodeEnv, OpenAnswers } from "./openAnswers.ts";

/** How long an address works, seconds. Source: ours. */
export const EXPORT_LIFETIME_S = 3_600;

/** What a token was sealed for: no other secret of Egret opens as one. */
const PURPOSE = "records export";
/** Tokens are shorter, with the longest key too; what is longer is not looked at. */
const MAX_TOKEN_CHARS = 10_000;

const grantSchema = z.object({
  workspaceId: z.int(),
  runId: z.int(),
  syncId: z.int(),
  identifier: z.string().optional(),
  statuses: z.array(z.enum(RECORD_STATUSES)).optional(),
  operation: z.enum(RECORD_OPERATIONS).optional(),
  format: z.enum(EXPORT_FORMATS),
  escapesFormulas: z.boolean(),
  expiresAtMs: z.int(),
});
type Grant = z.infer<typeof grantSchema>;

/** Which rows, in what form, and until when. */
export interface ExportWish {
  workspaceId: number;
  filter: RecordFilter;
  form: ExportForm;
  expiresAt: Date;
}

/** An address that gives out these rows and nothing else; nothing of it is stored, so that a GET writes nothing. */
export function exportAddress(
  { box, publicUrl }: Pick<ApiDesk, "box" | "publicUrl">,
  { workspaceId, filter, form, expiresAt }: ExportWish,
): string {
  const { runId, syncId, identifier, statuses, operation } = filter;
  const grant: Grant = {
    workspaceId,
    runId,
    syncId,
    ...(identifier === undefined ? {} : { identifier }),
    ...(statuses === undefined ? {} : { statuses: [...statuses] }),
    ...(operation === undefined ? {} : { operation }),
    ...form,
    expiresAtMs: expiresAt.getTime(),
  };
  return `${publicUrl()}/exports/${box.seal(PURPOSE, JSON.stringify(grant))}`;
}

type ExportDesk = Pick<ApiDesk, "box" | "db" | "now" | "logger"> & {
  /** Where answers under way are noted, so that no reader holds up the process. */
  open: OpenAnswers;
};

/** The route; it asks for no other authentication. */
export function exportLinkRoutes({ db, box, now, logger, open }: ExportDesk): Hono<NodeEnv> {
  const app = new Hono<NodeEnv>();
  app.get("/exports/:token", async (context) => {
    context.header("Cache-Control", "no-store");
    context.header("Referrer-Policy", "no-referrer");
    context.header("X-Content-Type-Options", "nosniff");
    const grant = readGrant(box, context.req.param("token"));
    if (grant === null) return context.json({ status: 404, message: "Not found" }, 404);
    const isGone = grant.expiresAtMs <= now().getTime() || !(await areRecordsKept(db, grant.runId));
    if (isGone) {
      const message = "This address has expired, or the rows are not kept any more: ask for another one.";
      return context.json({ status: "error", message, code: 410 }, 410);
    }
    const { format } = grant;
    context.header("Content-Type", format === "csv" ? "text/csv; charset=utf-8" : "application/x-ndjson");
    context.header("Content-Disposition", `attachment; filename="run-${grant.runId}-records.${format}"`);
    if (context.req.method === "HEAD") return context.body(null, 200);
    open.add(context.env.outgoing);
    const texts = exportTexts(db, grant, grant);
    return context.body(
      streamOf(texts, (error) => logger.warn({ err: error }, "export.broken")),
      200,
    );
  });
  return app;
}

/** Asks for the next piece when the one before was taken; a reader that goes away ends the reading. */
function streamOf(
  texts: AsyncGenerator<string>,
  onError: (error: Error) => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await texts.next();
          if (done === true) controller.close();
          else controller.enqueue(encoder.encode(value));
        } catch (error) {
          onError(toError(error));
          // The answer has begun: an end that is cut off is all that can still be said.
          controller.error(error);
        }
      },
      async cancel() {
        await texts.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

function readGrant(box: SecretBox, token: string): Grant | null {
  if (token.length > MAX_TOKEN_CHARS) return null;
  try {
    return grantSchema.parse(JSON.parse(box.open(PURPOSE, token)));
  } catch (error) {
    if (error instanceof InvalidInput) return null;
    throw error;
  }
}
