/** The frame around every page behind a link: one document, its policies, and the words for the page that it is framed by. */
import { randomBytes } from "node:crypto";
import type { Context } from "hono";
import { html, raw } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { STYLE } from "./style.ts";

/** A piece of a page, escaped. */
export type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

/** How a page tells the one that frames it that the person is done. Source: api-clients.md 1.3. */
export type ExitMessage = "EXITED_CONNECT_FLOW" | "EXITED_SYNC_FLOW" | "EXITED_SEGMENT_FLOW";

/** Who may frame the page and learn its end. */
export interface Framing {
  exit: ExitMessage;
  /** The one origin that may; null for any, since who has the address has all that the page can give. */
  origin: string | null;
  /** Id of what was saved; null while nothing was. */
  savedId?: number | null;
}

/** One page. */
export interface Page {
  title: string;
  content: Html;
  isWide?: boolean;
  status?: ContentfulStatusCode;
  /** Null for a page that belongs to no link. */
  framing: Framing | null;
}

/** The page as an answer: nothing of it is kept, nothing is loaded, forms go to us alone and, once saved, to where the link says. */
export async function pageAnswer(context: Context, page: Page): Promise<Response> {
  const { title, content, isWide = false, status = 200, framing } = page;
  const nonce = randomBytes(16).toString("base64");
  protect(context, nonce, framing);
  const data =
    framing === null
      ? ""
      : html` data-exit="${framing.exit}" data-target="${framing.origin ?? "*"}" data-saved="${framing.savedId ?? ""}"`;
  const document = await html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} · Egret</title>
<style nonce="${nonce}">${raw(STYLE)}</style>
</head>
<body${data}>
<main class="${isWide ? "wide" : ""}">
<p class="brand">${raw(MARK)} Egret</p>
${content}
</main>
<script nonce="${nonce}">${raw(SCRIPT)}</script>
</body>
</html>`;
  return context.html(document, status);
}

function protect(context: Context, nonce: string, framing: Framing | null): void {
  const origin = framing?.origin ?? null;
  // A browser holds a form's policy against the redirect that follows it as well.
  const forms = origin === null ? "'self'" : `'self' ${origin}`;
  const ancestors = framing === null ? "'none'" : (origin ?? "*");
  const policy = [
    "default-src 'none'",
    `style-src 'nonce-${nonce}'`,
    `script-src 'nonce-${nonce}'`,
    `form-action ${forms}`,
    `frame-ancestors ${ancestors}`,
    "base-uri 'none'",
  ];
  context.header("Content-Security-Policy", policy.join("; "));
  context.header("Cache-Control", "no-store");
  context.header("Referrer-Policy", "no-referrer");
  context.header("X-Content-Type-Options", "nosniff");
  context.header("X-Robots-Tag", "noindex");
}

const MARK = `<svg width="20" height="20" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M13.5 4.2c-2.6-1.6-5.4.6-4 3.1l2 3.2c1.3 2.3-.3 5-2.9 5H3.5c3-.6 4.600-2.200 5.200-4.300"/><path d="M13.500 4.200 18 5.400l-4.300.700"/><path d="M9.800 15.400v3.100"/></svg>`;

/** Works alone only inside a frame: nothing on a page needs it. */
const SCRIPT = `(() => {
  const { exit, target, saved } = document.body.dataset;
  if (window.parent === window || exit === undefined) return;
  document.documentElement.dataset.framed = "";
  for (const field of document.querySelectorAll("input[name=framed]")) field.value = "1";
  const say = (message, data) => window.parent.postMessage({ message, data }, target);
  for (const button of document.querySelectorAll("[data-cancel]"))
    button.addEventListener("click", () => say(exit, { status: "not_created", details: {} }));
  say("LOADED", {});
  if (saved !== "") say(exit, { status: "created", details: { id: Number(saved) } });
})();`;
