/** What must hold between the parts of egret.yaml: references lead somewhere, fields are sent once, secrets stay out. */
import type { EndpointTls } from "../domain/configuration.ts";
import { endpointTlsProblems } from "../security/endpointTls.ts";
import { installationPolicy } from "../security/outboundPolicy.ts";
import { vetUrl } from "../security/outboundUrl.ts";
import { destinationFaults, secretPlaces } from "./destinationChecks.ts";
import type { FieldPath, FileProblem } from "./fileProblem.ts";
import type { FileShape, SectionName } from "./fileSchema.ts";
import { mappingFaults } from "./mappingChecks.ts";
import { suggestion } from "./nearest.ts";
import { operationFaults } from "./operationChecks.ts";
import { triggerFaults } from "./triggerChecks.ts";
import type { YamlTree } from "./yamlTree.ts";

type SyncShape = FileShape["syncs"][string];

interface FileToCheck {
  file: FileShape;
  names: Record<SectionName, readonly string[]>;
  tree: YamlTree;
  /** EGRET_ALLOW_HTTP and EGRET_OUTBOUND_ALLOW. */
  outbound: { allowHttp: boolean; outboundAllow: readonly string[] };
}

interface Findings {
  problems: FileProblem[];
  warnings: FileProblem[];
}

/**
 * Everything that is wrong or unwise in the parts of a file whose shape is right. `names` holds what each section
 * declares, parts of a wrong shape included, so that one fault does not make others.
 */
export function checkFile({ file, names, tree, outbound }: FileToCheck): Findings {
  const policy = installationPolicy(outbound);
  const problems: FileProblem[] = [];
  const warnings: FileProblem[] = [];
  const problem = (path: FieldPath, message: string) => void problems.push(tree.problemAt(path, message));
  const mustExist = (path: FieldPath, section: SectionName, name: string) => {
    const known = names[section];
    if (known.includes(name)) return;
    const kind = section.slice(0, -1);
    const hint = known.length === 0 ? ` The file has no ${section}.` : suggestion(name, known);
    problem(path, `There is no ${kind} "${name}".${hint}`);
  };

  const checkTls = (path: FieldPath, url: string, tls: EndpointTls | undefined) => {
    if (tls === undefined) return;
    for (const { field, message } of endpointTlsProblems(tls)) problem([...path, "tls", field], message);
    if (URL.parse(url)?.protocol === "http:")
      problem([...path, "tls"], "An http:// address has no TLS; write https://, or leave `tls` out.");
    if (tls.client_key !== undefined && !tree.isFromEnvironment([...path, "tls", "client_key"])) {
      const place = [...path, "tls", "client_key"];
      warnings.push(tree.problemAt(place, "A secret stands in the file; give it by ${NAME}."));
    }
  };

  for (const [name, source] of Object.entries(file.sources)) {
    const path = ["sources", name, "url"];
    if (URL.parse(source.url) === null)
      problem(path, "A Postgres address looks like postgres://user:password@host:5432/database.");
    else if (new URL(source.url).password !== "" && !tree.isFromEnvironment(path)) {
      warnings.push(tree.problemAt(path, "A password stands in the file; give it by ${NAME}."));
    }
    if (source.state_schema !== undefined && source.sync_engine !== "advanced") {
      const place = ["sources", name, "state_schema"];
      problem(place, "It is for `sync_engine: advanced`; add that, or leave `state_schema` out.");
    }
  }
  for (const [name, model] of Object.entries(file.models)) {
    mustExist(["models", name, "source"], "sources", model.source);
  }
  for (const [name, destination] of Object.entries(file.destinations)) {
    const path = ["destinations", name];
    for (const fault of destinationFaults(destination, policy))
      problem([...path, ...fault.path], fault.message);
    checkTls(path, destination.url, destination.tls);
    for (const field of secretPlaces(destination)) {
      const place = [...path, ...field];
      if (!tree.isFromEnvironment(place))
        warnings.push(tree.problemAt(place, "A secret stands in the file; give it by ${NAME}."));
    }
  }
  for (const [name, sync] of Object.entries(file.syncs)) {
    const path = ["syncs", name];
    mustExist([...path, "destination"], "destinations", sync.destination);
    if (sync.model !== undefined) mustExist([...path, "model"], "models", sync.model);
    if (sync.source !== undefined) mustExist([...path, "source"], "sources", sync.source);
    for (const fault of objectFaults(sync, file)) problem([...path, ...fault.path], fault.message);
    for (const fault of mappingFaults(sync)) problem([...path, ...fault.path], fault.message);
    for (const fault of operationFaults(sync, file.destinations)) {
      problem([...path, ...fault.path], fault.message);
    }
    for (const fault of triggerFaults(name, file, names.syncs)) {
      problem([...path, ...fault.path], fault.message);
    }
  }
  for (const [name, webhook] of Object.entries(file.webhooks)) {
    const endpoint = vetUrl(webhook.endpoint, { policy, allowHttp: outbound.allowHttp });
    if (endpoint !== null) problem(["webhooks", name, "endpoint"], endpoint.message);
    checkTls(["webhooks", name], webhook.endpoint, webhook.tls);
  }
  return { problems, warnings };
}

interface Fault {
  path: FieldPath;
  message: string;
}

function objectFaults(sync: SyncShape, file: FileShape): Fault[] {
  if (sync.model === undefined && sync.table === undefined) {
    return [
      { path: ["model"], message: "Name what to read: a `model`, or a `table` together with its `source`." },
    ];
  }
  if (sync.model !== undefined && sync.table !== undefined) {
    return [{ path: ["table"], message: "A sync reads a model or a table, not both; remove one of them." }];
  }
  if (sync.table !== undefined && sync.source === undefined) {
    return [{ path: ["source"], message: "A table needs its `source`." }];
  }
  const own = Object.hasOwn(file.models, sync.model ?? "")
    ? file.models[sync.model ?? ""]?.source
    : undefined;
  if (own !== undefined && sync.source !== undefined && own !== sync.source) {
    return [{ path: ["source"], message: `The model reads from "${own}"; leave \`source\` out.` }];
  }
  return [];
}
