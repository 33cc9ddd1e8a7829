/** `/connect/<token>`: the pages behind links. The token is the address, and nothing else is asked for. */
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { html } from "hono/html";
import type { AuditEntry } from "../../configuration/apiAudit.ts";
import { findLink, type Link, linkFault } from "../../configuration/links.ts";
import { NotFound } from "../../domain/errors.ts";
import type { ApiDesk } from "../api/apiDesk.ts";
import { configurationDesk } from "../api/configurationDesk.ts";
import { requestId } from "../api/requestId.ts";
import { RateBuckets } from "../rateBuckets.ts";
import { showConnectPage, takeConnectForm } from "./connectHandler.ts";
import { pageAnswer } from "./layout.ts";
import { LINK_BASE } from "./linkAddress.ts";
import { aboutOf, actorOf, brokenLink, framingOf, type LinkVisit, unknownLink } from "./linkVisit.ts";
import { pageAudit } from "./pageAudit.ts";
import type { PageEnv } from "./pageEnv.ts";
import { Submission } from "./submission.ts";
import { showSyncPage, takeSyncForm } from "./syncHandler.ts";

/** Forms of one link: a person tries a connection some times, a program that looks for open ports many. Source: ours. */
const RATE = { burst: 20, perSecond: 0.5 };
/** Larger than any form that a person fills in. */
const MAX_BODY_BYTES = 512 * 1024;
/** Tokens are shorter; what is longer is not even hashed. */
const MAX_TOKEN_CHARS = 128;

/** The pages; `audit` is told of every form that was sent with a link, and must return at once. */
export function pagesApp(desk: ApiDesk, audit: (entry: AuditEntry) => void): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  const limit = new RateBuckets<number>(RATE, () => desk.now().getTime());
  const path = `${LINK_BASE}/:token`;
  app.onError((error, context) => {
    // What the link is for was deleted this moment.
    if (error instanceof NotFound) return unknownLink(context);
    desk.logger.error({ err: error, method: context.req.method }, "page.failed");
    return message(
      context,
      500,
      "Something went wrong",
      "Try again in a moment; what you entered was not saved.",
    );
  });
  app.use(path, (context, next) => {
    requestId(context);
    return next();
  });
  app.get(path, async (context) => {
    const link = await linkOf(context, desk);
    if (link === null) return unknownLink(context);
    const visit = await visitOf(context, desk, link);
    if (visit instanceof Response) return visit;
    return show(context, visit);
  });
  const tooLarge = (context: Context) => {
    // The rest of the form is never read: nothing else can come on this connection.
    context.header("Connection", "close");
    return message(context, 413, "Too much", "The form is larger than 512 KiB.");
  };
  app.post(path, async (context, next) => {
    const link = await linkOf(context, desk);
    if (link === null) return unknownLink(context);
    // Before the audit: who sends without end does not fill it.
    const retryAfterS = limit.take(link.id);
    if (retryAfterS > 0) {
      context.header("Retry-After", String(retryAfterS));
      return message(context, 429, "A little slower", "Wait some seconds, then go back and try again.");
    }
    context.set("link", link);
    return next();
  });
  app.post(path, pageAudit({ add: audit, now: desk.now }));
  app.post(path, bodyLimit({ maxSize: MAX_BODY_BYTES, onError: tooLarge }), async (context) => {
    if (!isFromHere(context, desk.publicUrl()))
      return message(context, 403, "Not from this page", "Open the link itself, and fill in the form there.");
    const visit = await visitOf(context, desk, context.get("link"));
    if (visit instanceof Response) return visit;
    const form = new URLSearchParams(await context.req.text());
    const sent = new Submission(form, { box: desk.box, linkId: visit.link.id });
    context.set("action", sent.text("action"));
    return take(context, { ...visit, sent });
  });
  app.all(path, (context) => {
    context.header("Allow", "GET, HEAD, POST");
    return message(context, 405, "Not possible", "Open this address in a browser.");
  });
  return app;
}

async function linkOf({ req }: Context, { db }: ApiDesk): Promise<Link | null> {
  const token = req.param("token") ?? "";
  return token.length > MAX_TOKEN_CHARS ? null : await findLink(db, token);
}

async function visitOf(context: Context, desk: ApiDesk, link: Link): Promise<LinkVisit | Response> {
  if (linkFault(link, desk.now()) !== null) return brokenLink(context, link, desk.now());
  const workspace = await desk.db
    .selectFrom("egret.workspaces")
    .select(["name", "label"])
    .where("id", "=", link.workspace_id)
    .executeTakeFirst();
  if (workspace === undefined) return unknownLink(context);
  return {
    desk,
    objects: configurationDesk(desk),
    link,
    workspace: workspace.label ?? workspace.name,
    actor: actorOf(link),
  };
}

function show(context: Context, visit: LinkVisit): Promise<Response> {
  const about = aboutOf(visit.link);
  if (about === "segment") return segmentPage(context, visit.link);
  return about === "sync" ? showSyncPage(context, visit) : showConnectPage(context, visit);
}

function take(context: Context<PageEnv>, visit: LinkVisit & { sent: Submission }): Promise<Response> {
  const about = aboutOf(visit.link);
  if (about === "segment") return segmentPage(context, visit.link);
  return about === "sync" ? takeSyncForm(context, visit) : takeConnectForm(context, visit);
}

function segmentPage(context: Context, link: Link): Promise<Response> {
  const title = "There are no segments here";
  const content = html`<div class="card">
    <h1>${title}</h1>
    <p class="lead">This Egret sends rows of tables and models. To send a part of them, write that part as a model:
      a SELECT with a WHERE, and sync it like any other.</p>
    <button class="framed-only" type="button" data-cancel>Close</button>
  </div>`;
  return pageAnswer(context, { title, content, framing: framingOf(link) });
}

/**
 * Whether a form was sent by a page of ours. The token alone keeps strangers out; this keeps a site that has come by it
 * from sending forms in a person's name. Our pages send no referrer, which makes their `Origin` "null".
 */
function isFromHere(context: Context, publicUrl: string): boolean {
  const site = context.req.header("Sec-Fetch-Site");
  if (site !== undefined) return site === "same-origin" || site === "none";
  const origin = context.req.header("Origin");
  if (origin === undefined || origin === "null") return true;
  const hosts = [
    context.req.header("Host"),
    context.req.header("X-Forwarded-Host"),
    URL.parse(publicUrl)?.host,
  ];
  return hosts.includes(URL.parse(origin)?.host);
}

function message(
  context: Context,
  status: 403 | 405 | 413 | 429 | 500,
  title: string,
  text: string,
): Promise<Response> {
  const content = html`<div class="card"><h1>${title}</h1><p class="lead">${text}</p></div>`;
  return pageAnswer(context, { title, content, status, framing: null });
}
