/** Someone with a link: what they may do with it, how what they saved is told, and where they go then. */
import type { Context } from "hono";
import { html } from "hono/html";
import { type Link, linkFault, useLink } from "../../configuration/links.ts";
import type { ObjectDesk } from "../../configuration/objectDesk.ts";
import type { ApiDesk } from "../api/apiDesk.ts";
import { type Framing, type Html, pageAnswer } from "./layout.ts";
import type { PageEnv } from "./pageEnv.ts";
import type { Submission } from "./submission.ts";

/** A visit with a link that works. */
export interface LinkVisit {
  desk: ApiDesk;
  objects: ObjectDesk;
  link: Link;
  /** What people call the workspace. */
  workspace: string;
  /** Who, for the events of what is changed. */
  actor: string;
}

const EXITS = {
  source: "EXITED_CONNECT_FLOW",
  destination: "EXITED_CONNECT_FLOW",
  sync: "EXITED_SYNC_FLOW",
  segment: "EXITED_SEGMENT_FLOW",
} as const;

/** How a link is named as the actor of a change: in events and in the audit. */
export function actorOf({ id, created_by }: Pick<Link, "id" | "created_by">): string {
  return `link ${id} by ${created_by}`;
}

/** What a link is about. */
export function aboutOf({ purpose }: Pick<Link, "purpose">): keyof typeof EXITS {
  return purpose.split("_")[0] as keyof typeof EXITS;
}

/** Who may frame the pages of a link, and how they learn its end. */
export function framingOf(link: Link, savedId: number | null = null): Framing {
  const origin = link.redirect_uri === null ? null : new URL(link.redirect_uri).origin;
  return { exit: EXITS[aboutOf(link)], origin, savedId };
}

/** Saves once, and answers with the end of the visit; a link that stopped working meanwhile saves nothing. */
export async function saveWithLink(
  context: Context<PageEnv>,
  { desk, link, sent }: LinkVisit & { sent: Submission },
  save: () => Promise<number>,
): Promise<Response> {
  const about = aboutOf(link);
  const id = await useLink(desk.db, link.id, async () => {
    const value = await save();
    return { value, outcome: { [`${about}_id`]: value } };
  });
  if (id === null) return brokenLink(context, link, desk.now());
  context.set("savedId", id);
  const isFramed = sent.text("framed") === "1" || context.req.header("Sec-Fetch-Dest") === "iframe";
  if (link.redirect_uri === null || isFramed) return donePage(context, link, id);
  context.header("Cache-Control", "no-store");
  context.header("Referrer-Policy", "no-referrer");
  return context.redirect(returnAddress(link.redirect_uri, about, id), 303);
}

/** The address that the maker of the link gave, with the id of what was saved. */
function returnAddress(redirectUri: string, about: string, id: number): string {
  const url = new URL(redirectUri);
  url.searchParams.set(`${about}_id`, String(id));
  return url.href;
}

function donePage(context: Context, link: Link, id: number): Promise<Response> {
  const about = aboutOf(link);
  const on = link.redirect_uri === null ? null : returnAddress(link.redirect_uri, about, id);
  const content = html`<div class="card">
    <h1>Saved</h1>
    <p class="lead">The ${about} is ready. This link has done its work, and cannot be used again.</p>
    ${on === null ? html`<p>You can close this page.</p>` : html`<p><a class="button main" href="${on}" target="_top">Continue</a></p>`}
  </div>`;
  return pageAnswer(context, { title: "Saved", content, framing: framingOf(link, id) });
}

const FAULTS = {
  used: ["This link was used", "It was made for one change, and that was saved."],
  revoked: ["This link was withdrawn", "Whoever gave it to you has taken it back."],
  expired: ["This link has expired", "It worked for a limited time only."],
} as const;

/** The page of a link that works no more. */
export function brokenLink(context: Context, link: Link, now: Date): Promise<Response> {
  const [title, text] = FAULTS[linkFault(link, now) ?? "used"];
  return deadEnd(context, { title, text, status: 410, framing: framingOf(link) });
}

/** The page of a token that there is not. */
export function unknownLink(context: Context): Promise<Response> {
  const text = "Check that you have the whole address.";
  return deadEnd(context, { title: "This link does not work", text, status: 404, framing: null });
}

function deadEnd(
  context: Context,
  {
    title,
    text,
    status,
    framing,
  }: { title: string; text: string; status: 404 | 410; framing: Framing | null },
): Promise<Response> {
  const content: Html = html`<div class="card">
    <h1>${title}</h1>
    <p class="lead">${text} Ask whoever gave it to you for another one.</p>
    <button class="framed-only" type="button" data-cancel>Close</button>
  </div>`;
  return pageAnswer(context, { title, content, status, framing });
}
