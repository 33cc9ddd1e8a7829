/** Starting a run of a sync. */
import { z } from "@hono/zod-openapi";
import type { TriggerCommand } from "../../../domain/command.ts";
import { InvalidInput } from "../../../domain/errors.ts";
import { cleanTraceparent } from "../../../domain/traceparent.ts";
import type { Refusal } from "../../../runtime/commandInHand.ts";
import { doorCommandId } from "../../../runtime/triggers/doorCommandId.ts";
import { openTriggerDoor } from "../../../runtime/triggers/triggerDoor.ts";
import { headerOf } from "../../requestHead.ts";
import { envelope, success } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { actorOf } from "../apiEnv.ts";
import { ApiRefusal, notFound } from "../apiErrors.ts";
import { endpoint, idParams, json, jsonBody, rooms } from "../endpoint.ts";
import { reasonText } from "../reasonText.ts";

const TAG = "Syncs";

const WORDS: Readonly<Record<string, boolean>> = { true: true, false: false, "1": true, "0": false };
const wish = (description: string) =>
  z
    .union([z.boolean(), z.enum(["true", "false", "1", "0"]).transform((word) => WORDS[word] === true)], {
      error: "Write true or false.",
    })
    .nullish()
    .openapi({ type: "boolean", description });

const wishes = {
  force_full_sync: wish("send every valid row, changed or not; not for append"),
  allow_deletes: wish("ours: pass over max_delete_percent this time"),
  allow_rejects: wish("ours: pass over max_rejected_percent this time"),
};
const wishesSchema = z.object(wishes);
const bodySchema = wishesSchema.extend({ reason: reasonText });

const trigger = endpoint(
  {
    method: "post",
    path: "/syncs/{id}/trigger",
    summary: "Start a run",
    description:
      "`force_full_sync` counts in the query, in a JSON body, or not at all; in the query `false` is false. A paused sync " +
      "starts all the same. While a run is under way nothing is started, and its id is answered: polling it tells when " +
      "the sync is done. With `overlap_policy` `queue_one` a second run waits, and its id is answered. A run that was " +
      "started without a wish of this request is not given back: that is 409.",
    request: {
      params: idParams,
      query: wishesSchema,
      body: jsonBody(bodySchema, { force_full_sync: false, reason: "orders were loaded anew" }, false),
    },
    responses: {
      200: json(envelope("success", z.object({ sync_run_id: z.int() })), "the run", {
        status: "success",
        data: { sync_run_id: 7011 },
      }),
    },
  },
  { tag: TAG, scope: "operate", refusals: [404, 409, 503] },
);

/** The room. */
export function syncTriggerRoutes(desk: ApiDesk) {
  const room = rooms();
  const door = openTriggerDoor(desk);

  room.openapi(trigger, async (context) => {
    const { id: sync } = context.req.valid("param");
    const { reason, ...inBody } = context.req.valid("json");
    const asked = wishesOf(inBody, context.req.valid("query"));
    const caller = context.get("caller");
    const payload: TriggerCommand & { sync: number } = {
      sync,
      force_full_sync: asked.force_full_sync ?? false,
      allow_deletes: asked.allow_deletes,
      allow_rejects: asked.allow_rejects,
      // Who asked is told whatever they say.
      reason: reason ? `${actorOf(caller)}: ${reason}` : actorOf(caller),
      requested_via: "API",
    };
    const key = headerOf(context, "idempotency-key");
    const answer = await door.trigger({
      workspaceId: context.get("workspaceId"),
      commandId: doorCommandId(key === null ? null : [caller.tokenId, sync, key]),
      isRepeatable: key !== null,
      payload,
      traceparent: cleanTraceparent(headerOf(context, "traceparent")),
    });
    if (answer.kind === "refused") throw refusalOf(answer.refusal);
    return context.json(success({ sync_run_id: answer.runId }), 200);
  });

  return room;
}

type Wishes = z.infer<typeof wishesSchema>;

/** What the query says wins. */
function wishesOf(body: Wishes, query: Wishes): { [W in keyof Wishes]: boolean | undefined } {
  const value = (name: keyof Wishes) => query[name] ?? body[name] ?? undefined;
  return {
    force_full_sync: value("force_full_sync"),
    allow_deletes: value("allow_deletes"),
    allow_rejects: value("allow_rejects"),
  };
}

/** The command's refusals in the API's words. */
function refusalOf({ code, message }: Refusal): Error {
  switch (code) {
    case "UNKNOWN_SYNC":
      return notFound();
    case "INVALID_COMMAND": {
      const [, field = "", text = message] = /^(\w+): (.*)$/s.exec(message) ?? [];
      return new InvalidInput(message, [{ field, message: text }]);
    }
    default:
      return new ApiRefusal(409, message);
  }
}
