/** Why a run is asked for, as clients may say it: it stands in the log for good, and people read it on one line. */
import { z } from "@hono/zod-openapi";
import { hasCredentials } from "../../security/redact.ts";

/** As in the command `trigger`. */
const MAX_CHARS = 500;
/** How Egret's own secrets begin. */
const SECRETS = /secret-token:|whsec_/i;

const isOneLine = (text: string): boolean => !/\p{Cc}/u.test(text);
const isSecretFree = (text: string): boolean =>
  !SECRETS.test(text) && !(text.match(/\w+:\/\/\S+/g) ?? []).some(hasCredentials);

/** Of a body. */
export const reasonText = z
  .string({ error: "Write it as text." })
  .trim()
  .max(MAX_CHARS, { error: `Must have at most ${MAX_CHARS} characters.` })
  .refine(isOneLine, { error: "Must be on one line, without control characters." })
  .refine(isSecretFree, { error: "Leave secrets out: the reason stands in the run's history for good." })
  .nullish()
  .openapi({
    description:
      "ours: who or what asks; stands in `sync_trigger_reason.ui_detail` behind the token's name. No secrets: it is kept for good",
    example: "orders were loaded anew",
  });
