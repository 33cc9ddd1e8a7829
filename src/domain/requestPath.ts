/** Paths below a base URL, made from a record or the same for all: what a record holds can never lead elsewhere. */
import type { Rendered, Template } from "./liquid.ts";
import { parseTemplate, templateScope } from "./liquid.ts";

/** True for a text with a tag or an output of Liquid in it. */
export function isTemplate(text: string): boolean {
  return text.includes("{{") || text.includes("{%");
}

/** A path as it is configured. */
export interface RequestPath {
  /** Null when the path is the same for every record. */
  template: Template | null;
  /** The path for a record; `message` names no value. */
  render(record: object): Rendered;
}

/**
 * Reads a path; names of fields are the caller's affair, see `template.columns`.
 * @throws InvalidInput naming what is wrong with the template.
 */
export function readPath(baseUrl: string, text: string): RequestPath {
  if (!isTemplate(text)) return { template: null, render: () => ({ ok: true, text }) };
  const template = parseTemplate(text, { columns: null, variable: "record", url: true });
  return {
    template,
    render: (record) => {
      const rendered = template.render(templateScope(record));
      if (!rendered.ok) return rendered;
      const path = rendered.text.trim();
      const fault = pathFault(baseUrl, path, mayEndInSlash(text));
      return fault === null ? { ok: true, text: path } : { ok: false, message: `The path failed: ${fault}` };
    },
  };
}

/** What is wrong with a path as it is configured, templates in it taken as a plain value; null when nothing is. */
export function configuredPathFault(baseUrl: string, text: string): string | null {
  const plain = text.replaceAll(/\{%.*?%\}/gs, "").replaceAll(/\{\{.*?\}\}/gs, "x");
  return pathFault(baseUrl, plain.trim(), true);
}

function mayEndInSlash(text: string): boolean {
  const [path = ""] = text.trim().split("?");
  return path.endsWith("/");
}

/**
 * Every value is encoded where it is written. What is left to find are values that vanish, which would turn the
 * address of one thing into that of all, and `.` and `..`, which every client takes out of a path.
 */
function pathFault(baseUrl: string, path: string, endsInSlash: boolean): string | null {
  if (path !== "" && !path.startsWith("/") && !path.startsWith("?")) return "it does not begin with /";
  const [place = ""] = path.split("?");
  const parts = place.split("/").slice(1);
  const last = parts.at(-1);
  if (parts.slice(0, -1).includes("") || (last === "" && !endsInSlash)) return "a part of it is empty";
  const wanted = joinUrl(baseUrl, path);
  const url = URL.parse(wanted);
  const base = new URL(baseUrl);
  const isSame =
    url !== null && url.origin === base.origin && `${url.origin}${url.pathname}${url.search}` === wanted;
  return isSame ? null : "it holds . or .. as a part, or a character that has to be encoded";
}

/** The base URL with a path behind it; a slash at the base's end is not doubled. */
export function joinUrl(baseUrl: string, path: string): string {
  const { origin, pathname } = new URL(baseUrl);
  const base = path.startsWith("/") ? pathname.replace(/\/$/, "") : pathname;
  return `${origin}${base}${path}`;
}
