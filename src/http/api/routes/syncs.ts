/** /syncs: made, changed and deleted in the form that clients of the Census API know. Runs are in syncTriggers.ts and syncRuns.ts. */
import { z } from "@hono/zod-openapi";
import {
  checkChange,
  checkObject,
  createObject,
  deleteObject,
  type EntryOf,
  updateObject,
} from "../../../configuration/objectDesk.ts";
import { pageOfSyncViews, readSyncView, type SyncView } from "../../../configuration/syncViews.ts";
import { ReadBarrier } from "../../../runtime/readBarrier.ts";
import { forecastResend } from "../../resendForecast.ts";
import { created, deleted, envelope, success, updated, wordOnly } from "../answers.ts";
import type { ApiDesk } from "../apiDesk.ts";
import { actorOf } from "../apiEnv.ts";
import { notFound } from "../apiErrors.ts";
import { configurationDesk } from "../configurationDesk.ts";
import { endpoint, idParams, json, jsonBody, rooms } from "../endpoint.ts";
import { expectedVersions, setEtag } from "../etag.ts";
import { namingFields } from "../fieldNames.ts";
import { presentSync, syncSchema } from "../objects/sync.ts";
import { cutOf, listAnswer, listOf, pageQuery } from "../paging.ts";
import { readSyncChange } from "../syncs/change.ts";
import { newSyncSchema, syncChangesSchema } from "../syncs/input.ts";
import { presentResend, resendSchema } from "../syncs/resend.ts";

const TAG = "Syncs";

const EXAMPLE = {
  label: "Expired trials to Ops hook",
  operation: "upsert",
  paused: false,
  source_attributes: { connection_id: 3, object: { type: "model", id: 9 } },
  destination_attributes: { connection_id: 5, object: "webhook" },
  mappings: [
    { from: { type: "column", data: "user_id" }, to: "unique_id", is_primary_identifier: true },
    { from: { type: "column", data: "plan" }, to: "plan" },
    {
      from: { type: "constant_value", data: { value: "trial_expired", basic_type: "text" } },
      to: "reason",
    },
    {
      from: { type: "liquid_template", data: { liquid_template: "{{ record['email'] | downcase }}" } },
      to: "email",
    },
  ],
  mode: { type: "triggered", triggers: { schedule: { frequency: "daily", hour: 6, minute: 30 } } },
  alert_attributes: [
    { type: "FailureAlertConfiguration", send_for: "first_time", should_send_recovery: true, options: null },
  ],
};

const list = endpoint(
  {
    method: "get",
    path: "/syncs",
    summary: "List syncs",
    request: { query: pageQuery },
    responses: { 200: json(listOf(syncSchema), "syncs") },
  },
  { tag: TAG, scope: "read" },
);

const madeSchema = envelope("created", z.object({ sync_id: z.int() }));

const create = endpoint(
  {
    method: "post",
    path: "/syncs",
    summary: "Create a sync",
    description:
      "The source is asked whether the columns are there. The key travels as `unique_id`, whatever `to` says of it; map " +
      "the column a second time to send it under another name too. A new sync has the status 200 (some clients ask for " +
      "exactly that) or 201, as EGRET_API_SYNC_CREATED_STATUS says. `preserve_values`, `lookup_object`, `generate_field` " +
      "and their like are kept and shown again, and change nothing.",
    request: { body: jsonBody(newSyncSchema, EXAMPLE) },
    responses: {
      200: json(
        z.union([madeSchema, envelope("success", z.object({ valid: z.literal(true) }))]),
        "made; or, with `validate_only`, nothing to object to",
        { status: "created", data: { sync_id: 88 } },
      ),
      201: json(madeSchema, "made, where the installation answers 201"),
    },
  },
  { tag: TAG, scope: "admin", refusals: [503] },
);

const show = endpoint(
  {
    method: "get",
    path: "/syncs/{id}",
    summary: "Show a sync",
    request: { params: idParams },
    responses: { 200: json(envelope("success", syncSchema), "the sync") },
  },
  { tag: TAG, scope: "read", refusals: [404] },
);

const changedSchema = z.object({
  status: z.enum(["updated", "success"]),
  data: syncSchema,
  resend: resendSchema.nullish(),
});

const change = endpoint(
  {
    method: "patch",
    path: "/syncs/{id}",
    summary: "Change a sync",
    description:
      "What is left out stays; lists and objects are replaced whole, so send them complete. `paused` pauses and resumes: " +
      "a run under way goes on, and nothing is caught up. Where the change makes the next run send rows again that were " +
      "accepted, `resend` beside `data` tells how many. With `validate_only` it tells so before, and nothing is changed.",
    request: { params: idParams, body: jsonBody(syncChangesSchema, { paused: true }) },
    responses: {
      200: json(changedSchema, "the sync as it is now; with `validate_only` as it stays, under `success`"),
    },
  },
  { tag: TAG, scope: "admin", refusals: [404, 409, 412, 503] },
);

const remove = endpoint(
  {
    method: "delete",
    path: "/syncs/{id}",
    summary: "Delete a sync",
    description:
      "With what it remembers of the rows that it sent; its runs can still be shown. Syncs that run after it do so no " +
      "longer. While a run is under way this is 409.",
    request: { params: idParams },
    responses: { 200: json(wordOnly("deleted"), "deleted") },
  },
  { tag: TAG, scope: "admin", refusals: [404, 409, 412] },
);

/** The room. */
export function syncRoutes(desk: ApiDesk) {
  const room = rooms();
  const { db } = desk;
  const objects = configurationDesk(desk);
  const barrier = new ReadBarrier(desk);
  const createdStatus = desk.syncCreatedStatus;

  room.openapi(list, async (context) => {
    const query = context.req.valid("query");
    await barrier.passed();
    const found = await pageOfSyncViews(db, context.get("workspaceId"), cutOf(query));
    return context.json(
      listAnswer(context, query, found, { present: presentSync, idOf: ({ id }) => id }),
      200,
    );
  });

  room.openapi(create, async (context) => {
    const workspaceId = context.get("workspaceId");
    const { validate_only: isCheck, ...input } = context.req.valid("json");
    const wished = await readSyncChange(db, { workspaceId, standing: null }, input);
    const { label = null, attributes } = wished;
    // What a new sync needs, the body had.
    const entry = wished.edit({ destination: "", key: "" });
    const actor = actorOf(context.get("caller"));
    const wanted = { workspaceId, actor, kind: "sync", label, entry, attributes } as const;
    if (isCheck === true) {
      await namingFields(wished.nameOf, () => checkObject(objects, wanted));
      return context.json(success({ valid: true as const }), 200);
    }
    const { id } = await namingFields(wished.nameOf, () => createObject(objects, wanted));
    const answer = created({ sync_id: id });
    return createdStatus === 201 ? context.json(answer, 201) : context.json(answer, 200);
  });

  room.openapi(show, async (context) => {
    const place = { workspaceId: context.get("workspaceId"), id: context.req.valid("param").id };
    // Which run was the last comes from the log.
    await barrier.passed();
    const view = await requireView(desk, place);
    setEtag(context, view.version);
    return context.json(success(presentSync(view)), 200);
  });

  room.openapi(change, async (context) => {
    const place = { workspaceId: context.get("workspaceId"), id: context.req.valid("param").id };
    const { workspaceId } = place;
    const standing = await requireView(desk, place);
    const { validate_only: isCheck, ...input } = context.req.valid("json");
    const wished = await readSyncChange(db, { workspaceId, standing }, input);
    const { label, attributes, pausedByHand } = wished;
    const wanted = {
      ...place,
      actor: actorOf(context.get("caller")),
      kind: "sync",
      expectedVersions: expectedVersions(context),
      edit: (entry: EntryOf["sync"]) => wished.edit(entry),
      attributes,
      ...(label === undefined ? {} : { label }),
      ...(pausedByHand === undefined ? {} : { pausedByHand }),
    } as const;
    const checked = await namingFields(wished.nameOf, () => checkChange(objects, wanted));
    const resend = presentResend(await forecastResend(desk, checked));
    if (isCheck === true) {
      setEtag(context, standing.version);
      return context.json({ ...success(presentSync(standing)), resend }, 200);
    }
    await namingFields(wished.nameOf, () => updateObject(objects, wanted));
    const view = await requireView(desk, place);
    setEtag(context, view.version);
    const answer = updated(presentSync(view));
    return context.json(resend === null ? answer : { ...answer, resend }, 200);
  });

  room.openapi(remove, async (context) => {
    const place = { workspaceId: context.get("workspaceId"), id: context.req.valid("param").id };
    const by = { actor: actorOf(context.get("caller")), expectedVersions: expectedVersions(context) };
    await deleteObject(objects, { ...place, ...by, kind: "sync" });
    return context.json(deleted(), 200);
  });

  return room;
}

async function requireView(
  { db }: Pick<ApiDesk, "db">,
  place: { workspaceId: number; id: number },
): Promise<SyncView> {
  const view = await readSyncView(db, place);
  if (view === null) throw notFound();
  return view;
}
