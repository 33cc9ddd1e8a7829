/** `/docs`: the API's document as a page that people read. All of it is in the answer: no script, nothing from elsewhere. */
import { createHash } from "node:crypto";
import { Hono } from "hono";
import { html, raw } from "hono/html";
import { DOCS_STYLE } from "./docsStyle.ts";
import { type Operation, operationsOf, type ReadableDocument } from "./operations.ts";
import { type Schema, schemaText } from "./schemaText.ts";

type Html = ReturnType<typeof html>;

/** The style is allowed by its hash, and nothing else is allowed at all. */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(DOCS_STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The route; the page is made when it is first asked for. */
export function docsPage(document: () => object, publicUrl: () => string): Hono {
  let page: string | null = null;
  return new Hono().get("/docs", async (context) => {
    page ??= String(await pageOf(document() as ReadableDocument, publicUrl()));
    return context.body(page, 200, {
      "Content-Type": "text/html; charset=UTF-8",
      "Content-Security-Policy": POLICY,
      "X-Content-Type-Options": "nosniff",
      "Referrer-Policy": "no-referrer",
    });
  });
}

function pageOf(document: ReadableDocument, publicUrl: string): Html {
  const base = document.servers?.[0]?.url ?? "";
  const operations = operationsOf(document, publicUrl + base);
  const groups = (document.tags ?? []).map(({ name, description = "" }) => ({
    name,
    description,
    operations: operations.filter(({ tag }) => tag === name),
  }));
  const schemas = Object.entries(document.components?.schemas ?? {}).sort(([a], [b]) => a.localeCompare(b));
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${document.info.title}</title>
<style>${raw(DOCS_STYLE)}</style>
</head>
<body>
<div class="page">
<nav>
<p><a href="#top"><strong>${document.info.title}</strong></a></p>
${groups.map(
  ({ name, operations: own }) => html`<h2><a href="#${anchor(name)}">${name}</a></h2>
<ul>${own.map(({ id, method, path }) => html`<li><a href="#${id}"><span class="method">${method}</span><span>${breakable(path)}</span></a></li>`)}</ul>`,
)}
<h2><a href="#schemas">Schemas</a></h2>
<ul>${schemas.map(([name]) => html`<li><a href="#schema-${name}">${name}</a></li>`)}</ul>
</nav>
<main id="top">
<h1>${document.info.title} <span class="dim">${document.info.version}</span></h1>
${paragraphs(document.info.description ?? "")}
<p>Below <code>${publicUrl}${base}</code>. As OpenAPI 3.1: <a href="${base}/openapi.json">${base}/openapi.json</a></p>
<pre>export EGRET_TOKEN=secret-token:…   # from: egret token create
curl -H "Authorization: Bearer $EGRET_TOKEN" ${publicUrl}${base}/workspace</pre>
${groups.map(
  (group) => html`<h2 id="${anchor(group.name)}">${group.name}</h2>
<p class="dim">${group.description}</p>
${group.operations.map(operationHtml)}`,
)}
<h2 id="schemas">Schemas</h2>
${schemas.map(([name, schema]) => html`<article id="schema-${name}"><h3>${name}</h3><pre>${linked(schemaText(schema), schema)}</pre></article>`)}
</main>
</div>
</body>
</html>
`;
}

/** May go on in the next line at a slash. */
const breakable = (path: string): Html[] => path.split(/(?=\/)/).map((part) => html`<wbr>${part}`);

const anchor = (name: string): string => `tag-${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}`;

function operationHtml(operation: Operation): Html {
  const { id, method, path, summary, description, scope, token, parameters, body, curl, answers, refusals } =
    operation;
  return html`<article id="${id}">
<span class="right">${token === "personal" ? "personal token" : "workspace key"}, scope ${scope}</span>
<h3>${summary}</h3>
<p><span class="method">${method}</span><span class="path">${path}</span></p>
${description === "" ? "" : paragraphs(description)}
${parameters.length === 0 ? "" : html`<h4>Parameters</h4><table>${parameters.map((one) => html`<tr><td><code>${one.name}</code></td><td>${one.place}${one.isRequired ? "" : ", optional"}</td><td><code>${one.type}</code></td><td>${inline(one.description)}</td></tr>`)}</table>`}
${body === null ? "" : html`<h4>Body</h4>${schemaHtml(body)}`}
<h4>Example</h4><pre>${curl}</pre>
${answers.map(({ status, text, schema, example }) => html`<h4>${status} <span class="dim">${inline(text)}</span></h4>${schema === null ? "" : schemaHtml(schema)}${example === null ? "" : html`<pre>${example}</pre>`}`)}
${refusals.map(({ status, text }) => html`<p class="refusal"><strong>${status}</strong> <span class="dim">${inline(text)}</span></p>`)}
</article>`;
}

function schemaHtml(schema: Schema): Html {
  const text = schemaText(schema);
  return /^\w+$/.test(text) && schema.$ref !== undefined
    ? html`<p><a href="#schema-${text}">${text}</a></p>`
    : html`<pre>${linked(text, schema)}</pre>`;
}

/** Names of other schemas become links. */
function linked(text: string, schema: Schema): (string | Html)[] {
  const names = new Set(refsIn(schema));
  return text
    .split(/\b(\w+)\b/)
    .map((part, at) =>
      at % 2 === 1 && names.has(part) ? html`<a href="#schema-${part}">${part}</a>` : part,
    );
}

function refsIn(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, part]: [string, unknown]) =>
    key === "$ref" && typeof part === "string" ? [part.slice(part.lastIndexOf("/") + 1)] : refsIn(part),
  );
}

/** Of Markdown what the descriptions use: paragraphs, strong, emphasis, code. */
function paragraphs(text: string): Html[] {
  return text.split(/\n{2,}/).map((paragraph) => html`<p>${inline(paragraph)}</p>`);
}

function inline(text: string): (string | Html)[] {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*)/).map((part, at) => {
    if (at % 2 === 0) return part;
    if (part.startsWith("`")) return html`<code>${part.slice(1, -1)}</code>`;
    if (part.startsWith("**")) return html`<strong>${part.slice(2, -2)}</strong>`;
    return html`<em>${part.slice(1, -1)}</em>`;
  });
}
