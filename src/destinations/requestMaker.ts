/** Makes the requests of an http_request destination from records: once, when the plan is made (I9). */
import type { HttpRequestDestination } from "../domain/configuration.ts";
import type { HttpMethod, Payload } from "../domain/httpRequestDestination.ts";
import { parseTemplate, type Rendered, templateScope } from "../domain/liquid.ts";
import { readPath } from "../domain/requestPath.ts";
import type { StoredRequest } from "./destination.ts";
import { toJsonPayload } from "./jsonPayload.ts";

/** A request for some records, or why they cannot be sent: words without a value. */
export type MadeRequest = { ok: true; body: Buffer; request: StoredRequest } | { ok: false; message: string };

/** Makes the requests of one operation of one sync. */
export interface RequestMaker {
  /** Most records in one request. */
  recordsPerRequest: number;
  /**
   * What stands around records that travel as they are; null where each body is made from what its records hold. Then
   * the whole of a batch's records is needed to cut it in two.
   */
  frame: { opening: Buffer; closing: Buffer; request: StoredRequest } | null;
  /** One request for the given records, each a JSON object in UTF-8: one, or as many as fit. */
  make(records: readonly Buffer[]): MadeRequest;
}

type Record_ = Readonly<Record<string, unknown>>;

/** Body of one request from its records. */
type MakeBody = (records: readonly Record_[]) => Rendered;

const JSON_TYPE = "application/json; charset=utf-8";
const FORM_TYPE = "application/x-www-form-urlencoded";

/**
 * Reads the settings for changed or for deleted rows.
 * @throws InvalidInput when a template cannot be used.
 */
export function requestMaker(destination: HttpRequestDestination, isDelete: boolean): RequestMaker {
  const { url, batch_size: batchSize } = destination.settings;
  const { method, path: pathText, payload } = partsFor(destination, isDelete);
  const path = readPath(url, pathText);
  // Many records cannot share an address that one of them makes; a form and a field hold one record by their nature.
  const isSingle =
    path.template !== null || payload === "form" || payload === "empty" || fieldOf(payload) !== null;
  const recordsPerRequest = isSingle ? 1 : batchSize;
  const isList = recordsPerRequest > 1;
  const contentType = contentTypeOf(payload, method);
  const makeBody = bodyMaker(payload, isList);
  const isPlain = payload === "columns" && path.template === null;
  return {
    recordsPerRequest,
    frame: isPlain
      ? {
          opening: Buffer.from(isList ? "[" : ""),
          closing: Buffer.from(isList ? "]" : ""),
          request: { method, path: pathText, contentType },
        }
      : null,
    make(records) {
      const parsed = records.map((record) => JSON.parse(record.toString("utf8")) as Record_);
      const place = path.render(parsed[0] ?? {});
      if (!place.ok) return place;
      const request: StoredRequest = { method, path: place.text, contentType };
      // As it stands: parsing and writing it anew would cost digits of its numbers.
      if (payload === "columns" && !isList) return { ok: true, body: records[0] as Buffer, request };
      const body = makeBody(parsed);
      return body.ok ? { ok: true, body: Buffer.from(body.text), request } : body;
    },
  };
}

/** Method, path and payload for changed or for deleted rows. */
export function partsFor(
  { settings }: Pick<HttpRequestDestination, "settings">,
  isDelete: boolean,
): { method: HttpMethod; path: string; payload: Payload } {
  const { method, path, payload } = settings;
  if (!isDelete) return { method, path, payload };
  return {
    method: settings.delete_method,
    path: settings.delete_path ?? path,
    payload: settings.delete_payload,
  };
}

function contentTypeOf(payload: Payload, method: HttpMethod): string | null {
  if (payload === "empty" || method === "GET") return null;
  return payload === "form" ? FORM_TYPE : JSON_TYPE;
}

function fieldOf(payload: Payload): string | null {
  return typeof payload === "object" && "field" in payload ? payload.field : null;
}

function bodyMaker(payload: Payload, isList: boolean): MakeBody {
  if (payload === "empty") return () => ({ ok: true, text: "" });
  if (payload === "form") return ([record]) => ({ ok: true, text: formOf(record ?? {}) });
  if (payload === "columns")
    return (records) => ({ ok: true, text: JSON.stringify(isList ? records : records[0]) });
  if ("field" in payload) return ([record]) => jsonOfField(record ?? {}, payload.field);
  const options = { columns: null, wholeRecord: true, json: true } as const;
  const template = parseTemplate(payload.json, { ...options, variable: isList ? "records" : "record" });
  return (records) => {
    const rendered = template.render(templateScope(isList ? records : (records[0] ?? {})));
    return rendered.ok ? toJsonPayload(rendered.text) : rendered;
  };
}

function formOf(record: Record_): string {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(record)) form.append(name, textOf(value));
  return form.toString();
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function jsonOfField(record: Record_, field: string): Rendered {
  const value = record[field];
  if (value === undefined || value === null)
    return { ok: false, message: `The payload failed: ${field} is empty` };
  if (typeof value !== "string") return { ok: true, text: JSON.stringify(value) };
  const payload = toJsonPayload(value);
  return payload.ok ? payload : { ok: false, message: `The payload failed: ${field} holds no JSON` };
}
