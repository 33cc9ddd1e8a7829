/** What must hold inside a destination of egret.yaml: addresses may be called, headers fit, templates can be used. */
import { KEY_FIELD, type Mapping, type Operation } from "../domain/configuration.ts";
import { InvalidInput } from "../domain/errors.ts";
import type { HttpRequestSettings, Payload } from "../domain/httpRequestDestination.ts";
import { parseTemplate, type Template } from "../domain/liquid.ts";
import { configuredPathFault, isTemplate, readPath } from "../domain/requestPath.ts";
import type { SyncOptions } from "../domain/syncOptions.ts";
import { headerProblem } from "../security/headerProblem.ts";
import type { OutboundPolicy } from "../security/outboundPolicy.ts";
import { vetUrl } from "../security/outboundUrl.ts";
import type { DestinationShape, FileDestination, HttpRequestShape } from "./destinationSchema.ts";
import type { FieldPath } from "./fileProblem.ts";
import { suggestion } from "./nearest.ts";

/** A fault at a path below the destination's own, and its fix. */
export interface DestinationFault {
  path: FieldPath;
  message: string;
}

/** Everything that is wrong with one destination, but for its TLS settings. */
export function destinationFaults(destination: DestinationShape, policy: OutboundPolicy): DestinationFault[] {
  const faults: DestinationFault[] = [];
  const url = vetUrl(destination.url, { policy, allowHttp: true });
  if (url !== null) faults.push({ path: ["url"], message: url.message });
  for (const [header, value] of Object.entries(destination.headers ?? {})) {
    const fault = headerProblem(header, value);
    if (fault !== null) faults.push({ path: ["headers", header], message: fault });
  }
  if (destination.type === "webhook") {
    const header = headerProblem(destination.auth_token_header, destination.auth_token ?? "");
    if (header !== null) faults.push({ path: ["auth_token_header"], message: header });
    return faults;
  }
  return url === null ? [...faults, ...requestFaults(destination, policy)] : faults;
}

/** Where a destination can hold a secret as a single text. */
export function secretPlaces(destination: DestinationShape): FieldPath[] {
  if (destination.type === "webhook") {
    return (["auth_token", "signing_secret"] as const)
      .filter((field) => destination[field] !== undefined)
      .map((field) => [field]);
  }
  const parameters = Object.keys(destination.url_parameters ?? {}).map((name) => ["url_parameters", name]);
  return destination.oauth === undefined ? parameters : [...parameters, ["oauth", "client_secret"]];
}

function requestFaults(destination: HttpRequestShape, policy: OutboundPolicy): DestinationFault[] {
  const faults: DestinationFault[] = [];
  const { url, oauth, headers = {}, method, payload, delete_method, delete_payload } = destination;
  if (url.includes("?"))
    faults.push({ path: ["url"], message: "Must not hold a query; put it into `path` or `url_parameters`." });
  if (oauth !== undefined) {
    const token = vetUrl(oauth.token_url, { policy, allowHttp: true });
    if (token !== null) faults.push({ path: ["oauth", "token_url"], message: token.message });
    const own = Object.keys(headers).find((name) => name.toLowerCase() === "authorization");
    const message = "The header is written by `oauth`; remove one of the two.";
    if (own !== undefined) faults.push({ path: ["headers", own], message });
  }
  for (const [name, value] of Object.entries(destination.url_parameters ?? {})) {
    if (/\p{Cc}/u.test(name + value))
      faults.push({ path: ["url_parameters", name], message: "Holds a control character; remove it." });
  }
  const message = "A GET has no body; write `empty`, or choose another method.";
  if (method === "GET" && payload !== "empty") faults.push({ path: ["payload"], message });
  if (delete_method === "GET" && delete_payload !== "empty")
    faults.push({ path: ["delete_payload"], message });
  for (const { path, text } of pathsOf(destination)) {
    const fault = configuredPathFault(url, text);
    if (fault !== null) faults.push({ path, message: `The path cannot be used: ${fault}.` });
  }
  for (const { path, parse } of templatesOf(destination)) {
    const { fault } = parsed(parse);
    if (fault !== null) faults.push({ path, message: fault });
  }
  return faults;
}

/** A part of the settings that may name fields. */
interface Templated {
  path: FieldPath;
  of: "changed" | "deleted";
  /** @throws InvalidInput when the template cannot be used. */
  parse(): Pick<Template, "columns"> | null;
}

function pathsOf({ path, delete_path: deletePath }: HttpRequestSettings) {
  const own = { path: ["path"], text: path };
  return deletePath === undefined ? [own] : [own, { path: ["delete_path"], text: deletePath }];
}

/** A path for changed rows is one for deleted rows too, unless those have their own. */
function templatesOf(settings: HttpRequestSettings): Templated[] {
  const { url, path, delete_path: deletePath, payload, delete_payload: deletePayload } = settings;
  const forPath = (place: string, text: string, of: Templated["of"]): Templated => ({
    path: [place],
    of,
    parse: () => readPath(url, text).template,
  });
  return [
    forPath("path", path, "changed"),
    forPath(deletePath === undefined ? "path" : "delete_path", deletePath ?? path, "deleted"),
    { path: ["payload"], of: "changed", parse: () => payloadTemplate(payload, isBatch(settings, path)) },
    {
      path: ["delete_payload"],
      of: "deleted",
      parse: () => payloadTemplate(deletePayload, isBatch(settings, deletePath ?? path)),
    },
  ];
}

/** A template in the path makes a request of each row. */
function isBatch({ batch_size: size }: HttpRequestSettings, path: string): boolean {
  return size > 1 && !isTemplate(path);
}

function payloadTemplate(payload: Payload, isList: boolean): Pick<Template, "columns"> | null {
  if (typeof payload === "string") return null;
  if ("field" in payload) return { columns: [payload.field] };
  const variable = isList ? "records" : "record";
  return parseTemplate(payload.json, { columns: null, variable, wholeRecord: true, json: true });
}

function parsed(parse: Templated["parse"]): { columns: readonly string[]; fault: string | null } {
  try {
    return { columns: parse()?.columns ?? [], fault: null };
  } catch (error) {
    if (error instanceof InvalidInput) return { columns: [], fault: `${error.message}.` };
    throw error;
  }
}

/**
 * Fields that a destination names and a sync does not send it, once the sync's mappings are known. What is deleted
 * travels with its key alone, unless the sync says otherwise.
 */
export function missingFields(
  destination: FileDestination,
  { operation, options }: { operation: Operation; options: SyncOptions },
  mappings: readonly Mapping[],
): DestinationFault[] {
  // Its fields are looked up anew for each run.
  if (destination.type === "webhook" || options.field_behavior === "sync_all_properties") return [];
  const all = [KEY_FIELD, ...mappings.map(({ to }) => to)];
  const isWhole = operation === "delete" || options.send_full_record_on_delete;
  const fields = { changed: all, deleted: isWhole ? all : [KEY_FIELD] };
  const used =
    operation === "delete" ? ["deleted"] : operation === "mirror" ? ["changed", "deleted"] : ["changed"];
  return templatesOf(destination.settings)
    .filter(({ of }) => used.includes(of))
    .flatMap(({ path, of, parse }) =>
      parsed(parse)
        .columns.filter((name) => !fields[of].includes(name))
        .map((name) => ({ path, message: missing(name, of, fields[of]) })),
    );
}

function missing(name: string, of: Templated["of"], fields: readonly string[]): string {
  const what = of === "deleted" ? "a deleted row does not have" : "it does not get";
  return `names the field "${name}", which ${what}.${suggestion(name, fields)}`;
}
