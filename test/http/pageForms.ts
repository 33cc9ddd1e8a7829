/** Pages as a browser sees them, without one: opened, read and filled in over a socket. */

/** What came back. */
export interface Page {
  status: number;
  text: string;
  headers: Headers;
}
/** Opens a page. */
export async function open(uri: string): Promise<Page> {
  const answer = await fetch(uri);
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}
/** Sends a form as a browser does; a redirect is not followed. */
export async function send(
  uri: string,
  fields: Record<string, string> | [string, string][],
  headers: Record<string, string> = {},
): Promise<Page> {
  const body = new URLSearchParams(fields);
  const answer = await fetch(uri, { method: "POST", body, headers, redirect: "manual" });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}

/** The fields of a page's form as a browser would send them. */
export function fieldsOf(text: string): Record<string, string> {
  const fields: Record<string, string> = {};
  const decode = (value: string) =>
    value
      .replaceAll("&quot;", '"')
      .replaceAll("&#39;", "'")
      .replaceAll("&lt;", "<")
      .replaceAll("&gt;", ">")
      .replaceAll("&amp;", "&");
  for (const [tag] of text.matchAll(/<input\b[^>]*>/g)) {
    const name = /\bname="([^"]*)"/.exec(tag)?.[1];
    const isBox = /type="checkbox"/.test(tag);
    if (name === undefined || (isBox && !/ checked/.test(tag))) continue;
    fields[decode(name)] = decode(/\bvalue="([^"]*)"/.exec(tag)?.[1] ?? "");
  }
  for (const [, name, inside] of text.matchAll(/<select\b[^>]*\bname="([^"]*)"[^>]*>([\s\S]*?)<\/select>/g)) {
    const options = [...(inside ?? "").matchAll(/<option value="([^"]*)"( selected)?/g)];
    const chosen = options.find(([, , selected]) => selected !== undefined) ?? options[0];
    if (name !== undefined) fields[decode(name)] = decode(chosen?.[1] ?? "");
  }
  return fields;
}
