/** `POST /hooks/<token>`: another program starts a sync. The token is the address; nothing else is asked for. */
import { createHash, randomUUID } from "node:crypto";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { FoundHook } from "../configuration/hooks.ts";
import type { TriggerCommand } from "../domain/command.ts";
import { dbtJobRun } from "./dbtCloud.ts";
import { RateBuckets } from "./rateBuckets.ts";

/** A trigger to be published; `id` makes repeating it harmless. */
export interface HookCommand {
  id: string;
  payload: Pick<TriggerCommand, "sync" | "requested_via"> & { reason: string };
}

/** What the routes ask of the rest of Egret. */
export interface HookDesk {
  /** Null for a token that is unknown or revoked. */
  find(token: string): Promise<FoundHook | null>;
  publish(workspaceId: number, command: HookCommand): Promise<void>;
}

/** Of one hook: a run takes longer than that. Source: ours. */
const RATE = { burst: 10, perSecond: 0.5 };
/** Larger than any notice of a job; the body of a generic hook is not even read. */
const MAX_BODY_BYTES = 256 * 1024;
/** Tokens are shorter; what is longer is not even hashed at length. */
const MAX_TOKEN_CHARS = 128;

/** Routes without any other authentication; of several processes each counts its own requests. */
export function hookRoutes(desk: HookDesk, now: () => number = Date.now): Hono {
  const app = new Hono();
  const limit = new RateBuckets<string>(RATE, now);
  const tooLarge = (context: Context) =>
    context.json({ status: "error", message: `The body is larger than ${MAX_BODY_BYTES} bytes.` }, 413);
  app.post("/hooks/:token", bodyLimit({ maxSize: MAX_BODY_BYTES, onError: tooLarge }), async (context) => {
    const token = context.req.param("token").slice(0, MAX_TOKEN_CHARS);
    const retryAfterS = limit.take(sha256(token));
    if (retryAfterS > 0) {
      context.header("Retry-After", String(retryAfterS));
      return context.json({ status: "error", message: `Too many requests: wait ${retryAfterS} s.` }, 429);
    }
    const body = await context.req.text();
    const hook = await desk.find(token);
    if (hook === null) return context.json({ status: 404, message: "Not found" }, 404);
    const command = commandOf(hook, { body, key: context.req.header("Idempotency-Key") });
    if (command === null) return context.json({ status: "ignored", data: { command_id: null } }, 202);
    await desk.publish(hook.workspaceId, command);
    return context.json({ status: "accepted", data: { command_id: command.id } }, 202);
  });
  return app;
}

/** Null when the notice is of something that starts nothing. */
function commandOf(
  hook: FoundHook,
  { body, key }: { body: string; key: string | undefined },
): HookCommand | null {
  if (hook.kind === "dbt_cloud") {
    const run = dbtJobRun(body);
    if (run === null) return null;
    const payload = { sync: hook.syncId, requested_via: "dbt Cloud", reason: run.words } as const;
    return { id: idOf(hook, run.eventId ?? key), payload };
  }
  const payload = { sync: hook.syncId, requested_via: "Inbound Hook", reason: `Hook ${hook.id}` } as const;
  return { id: idOf(hook, key), payload };
}

/** The same key of the same hook is the same command. */
function idOf({ id }: FoundHook, key: string | undefined): string {
  return `hook-${id}-${key === undefined || key === "" ? randomUUID() : sha256(key).slice(0, 32)}`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
