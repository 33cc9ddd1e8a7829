/**
 * `/syncs/{id}/runs/{run}`: the page of a run, where the links of alerts lead. It shows what the API tells whoever asks, so
 * that their token's rights, rate and audit are the API's; the browser asks for the token, as user `bearer` (HTTP Basic).
 */
import { type Context, Hono } from "hono";
import { html } from "hono/html";
import { API_BASE, type RunningApi } from "../api/apiApp.ts";
import type { SyncRunObject } from "../api/objects/syncRun.ts";
import type { NodeEnv } from "../openAnswers.ts";
import { type Html, pageAnswer } from "./layout.ts";
import { FULL_SYNC_WORDS } from "./syncResend.ts";

/** Browsers keep what was entered for it. */
const CHALLENGE = 'Basic realm="Egret", charset="UTF-8"';

/** The page; `api` is asked by the credentials of the request. */
export function runPages(api: Pick<RunningApi, "fetch">): Hono<NodeEnv> {
  return new Hono<NodeEnv>().get("/syncs/:id{[0-9]+}/runs/:run{[0-9]+}", async (context) => {
    const { id, run: runId } = context.req.param();
    const url = new URL(`${API_BASE}/sync_runs/${runId}`, context.req.url);
    const Authorization = context.req.header("Authorization");
    const headers = Authorization === undefined ? {} : { Authorization };
    const answer = await api.fetch(new Request(url, { headers }), context.env);
    if (!answer.ok) return refusal(context, answer);
    const { data: run } = (await answer.json()) as { data: SyncRunObject };
    // The run is there, but its address is another one.
    if (String(run.sync_id) !== id) return message(context, 404, ABSENT);
    const title = `Run ${run.id} of ${run.sync_name}`;
    return pageAnswer(context, { title, content: runContent(title, run), framing: null });
  });
}

const ABSENT = {
  title: "There is no such run",
  text: "Not in the workspace of this token, or not any more.",
};

async function refusal(context: Context<NodeEnv>, answer: Response): Promise<Response> {
  const retryAfter = answer.headers.get("Retry-After");
  if (retryAfter !== null) context.header("Retry-After", retryAfter);
  switch (answer.status) {
    case 401: {
      context.header("WWW-Authenticate", CHALLENGE);
      const text =
        "Load this page again, and give the user bearer and as the password an API token that may read.";
      return message(context, 401, { title: "Sign in", text });
    }
    case 404:
      return message(context, 404, ABSENT);
    case 403: {
      // Whoever is asked anew may have another token.
      context.header("WWW-Authenticate", CHALLENGE);
      return message(context, 401, { title: "This token does not do", text: await wordsOf(answer) });
    }
    case 429:
      return message(context, 429, { title: "A little slower", text: await wordsOf(answer) });
    default:
      return message(context, answer.status === 503 ? 503 : 500, {
        title: "The run cannot be shown now",
        text: await wordsOf(answer),
      });
  }
}

async function wordsOf(answer: Response): Promise<string> {
  const { message: words } = (await answer.json().catch(() => ({}))) as { message?: string };
  return words ?? "Try again in a moment.";
}

function message(
  context: Context<NodeEnv>,
  status: 401 | 404 | 429 | 500 | 503,
  { title, text }: { title: string; text: string },
): Promise<Response> {
  const content = html`<div class="card"><h1>${title}</h1><p class="lead">${text}</p></div>`;
  return pageAnswer(context, { title, content, status, framing: null });
}

const COUNT = new Intl.NumberFormat("en-US");

function runContent(title: string, run: SyncRunObject): Html {
  const { ui_tag: tag, ui_detail: detail } = run.sync_trigger_reason;
  const facts: [string, string | number | null][] = [
    ["Begun", timeOf(run.started_at ?? run.created_at)],
    ["Ended", run.completed_at === null ? null : timeOf(run.completed_at)],
    ["Started by", `${tag}: ${detail}`],
    ["Full sync", run.full_sync ? run.full_sync_reasons.map(reasonWords).join(" ") || "Yes" : null],
    ["Rows in the source", run.source_record_count],
    ["Rows not valid", run.source_record_invalids || null],
    ["Rows sent", run.records_processed],
    ["Accepted", run.records_updated],
    ["Refused", run.records_failed],
  ];
  const shown = facts.filter(([, value]) => value !== null);
  return html`<div class="card">
    <h1>${title}</h1>
    ${stateNote(run)}
    <dl class="facts">${shown.map(
      ([name, value]) =>
        html`<dt>${name}</dt><dd>${typeof value === "number" ? COUNT.format(value) : value}</dd>`,
    )}</dl>
    <p class="hint">More of it: <code>egret run ${run.id}</code>, and <code>egret records list ${run.id}</code> for its rows.</p>
  </div>`;
}

function stateNote(run: SyncRunObject): Html {
  switch (run.status) {
    case "working":
      return html`<div class="note plain"><p><strong>At work</strong>${run.current_step === undefined ? "" : html` (${run.current_step})`}.
        Load the page again to see how far it is.</p></div>`;
    case "skipped":
      return html`<div class="note plain"><p><strong>Skipped</strong>: another run of the sync was under way.</p></div>`;
    case "completed":
      return html`<div class="note ${run.records_failed ? "plain" : "good"}"><p><strong>Completed</strong></p></div>`;
    case "failed": {
      const why = [run.error_message, run.error_detail].filter((words) => words !== null);
      return html`<div class="note bad" role="alert"><p><strong>${run.canceled ? "Canceled" : "Failed"}</strong></p>
        ${why.map((words) => html`<p>${words}</p>`)}</div>`;
    }
  }
}

/** Reasons of a later version are told by their code. */
function reasonWords(code: string): string {
  return Object.hasOwn(FULL_SYNC_WORDS, code)
    ? FULL_SYNC_WORDS[code as keyof typeof FULL_SYNC_WORDS]
    : `${code}.`;
}

/** `2026-02-03 04:05:06 UTC`: who reads it may be anywhere. */
function timeOf(instant: string): string {
  return `${instant.slice(0, 19).replace("T", " ")} UTC`;
}
