/** The first page of a new sync: which table or model, and which destination. */
import { html } from "hono/html";
import type { Kysely } from "kysely";
import type { StoredItem } from "../../configuration/configItem.ts";
import type { Link } from "../../configuration/links.ts";
import type { EntryOf } from "../../configuration/objectDesk.ts";
import { selectTables } from "../../configuration/sourceObjects.ts";
import type { SyncObject } from "../../domain/configuration.ts";
import type { Database } from "../../projections/database.ts";
import type { Html } from "./layout.ts";

/** What was chosen. */
export interface Chosen {
  /** What the sync reads, as egret.yaml writes it. */
  entry: Pick<EntryOf["sync"], "model" | "table" | "source">;
  source: { id: number; object: SyncObject };
  destination: StoredItem;
  words: string;
  /** The choice, for the next page to send along. */
  hidden: Record<string, string>;
}

/** Tables shown of one source. */
const MOST_TABLES = 500;
const TABLE = /^([^."\s]+)\.([^."\s]+)$/;

const labelOf = ({ label, name }: StoredItem): string => label ?? name;

/**
 * What a query or form says: `object` is `model:<id>` or `table:<source id>:<schema>.<table>`, or instead of it `model_id`
 * alone; `destination`, or destination_connection_id. Null while something is missing or not of this workspace.
 */
export function readChoice(items: readonly StoredItem[], asked: (name: string) => string): Chosen | null {
  const idOf = (text: string) => (/^[1-9]\d{0,14}$/.test(text) ? Number(text) : 0);
  const find = (kind: StoredItem["kind"], id: number) =>
    items.find((each) => each.kind === kind && each.id === id);
  const destination = find("destination", idOf(asked("destination") || asked("destination_connection_id")));
  const typed = asked("typed_table");
  const object =
    asked("object") ||
    (typed === "" ? "" : `table:${asked("typed_source")}:${typed}`) ||
    (asked("model_id") === "" ? "" : `model:${asked("model_id")}`);
  if (destination === undefined || object === "") return null;
  const [kind, id = "", table = ""] = object.split(":");
  const hidden = {
    object,
    destination: String(destination.id),
    ...Object.fromEntries(
      ["source_hidden", "destination_hidden"].flatMap((name) =>
        asked(name) === "true" ? [[name, "true"]] : [],
      ),
    ),
  };
  if (kind === "model") {
    const model = find("model", idOf(id));
    const source = items.find((each) => each.kind === "source" && each.name === model?.settings["source"]);
    if (model === undefined || source === undefined) return null;
    const { name, settings } = model;
    const query = String(settings["query"]);
    return {
      entry: { model: name },
      source: { id: source.id, object: { type: "model", modelId: model.id, name, query } },
      destination,
      words: `Model ${labelOf(model)}`,
      hidden,
    };
  }
  const source = find("source", idOf(id));
  const [, schema, name] = TABLE.exec(table) ?? [];
  if (source === undefined || schema === undefined || name === undefined) return null;
  return {
    entry: { table, source: source.name },
    source: { id: source.id, object: { type: "table", schema, table: name } },
    destination,
    words: `${table} in ${labelOf(source)}`,
    hidden,
  };
}

/** The page's content; only what the link's workspace has can be chosen. */
export async function choiceContent({
  db,
  items,
  workspace,
  query,
  link,
}: {
  db: Kysely<Database>;
  items: readonly StoredItem[];
  workspace: string;
  query: URLSearchParams;
  link: Link;
}): Promise<Html> {
  const wanted = query.get("source_connection_id");
  const sources = items.filter(
    (each) => each.kind === "source" && (wanted === null || String(each.id) === wanted),
  );
  const destinations = items.filter(({ kind }) => kind === "destination");
  const groups = await Promise.all(sources.map((source) => objectsOf(db, { source, items, link })));
  const isReady = sources.length > 0 && destinations.length > 0;
  const kept = ["source_hidden", "destination_hidden", "link"].filter((name) => query.has(name));
  const chosenDestination = query.get("destination") ?? query.get("destination_connection_id") ?? "";
  return html`<div class="card">
    <h1>New sync</h1>
    <p class="lead">Choose what is read and where it goes, in the workspace <strong>${workspace}</strong>.</p>
    ${isReady ? "" : html`<div class="note plain"><p>A sync needs a source and a destination; ${sources.length === 0 ? "a source" : "a destination"} has to be connected first.</p></div>`}
    <form method="get">
      ${kept.map((name) => html`<input type="hidden" name="${name}" value="${query.get(name) ?? ""}">`)}
      <div class="field"><label for="f-object">From</label>
        <select id="f-object" name="object"><option value="">Choose a model or table…</option>${groups.map(
          ({ label, objects }) =>
            objects.length === 0
              ? ""
              : html`<optgroup label="${label}">${objects.map(({ value, words }) => html`<option value="${value}"${value === query.get("object") ? html` selected` : ""}>${words}</option>`)}</optgroup>`,
        )}</select></div>
      <details class="aside"${groups.every(({ objects }) => objects.length === 0) ? html` open` : ""}><summary>A table that is not in the list</summary>
        <div class="row two">
          <div class="field"><label for="f-typed_source">In</label><select id="f-typed_source" name="typed_source">${sources.map((source) => html`<option value="${source.id}">${labelOf(source)}</option>`)}</select></div>
          <div class="field"><label for="f-typed_table">Table or view</label><input id="f-typed_table" name="typed_table" type="text" placeholder="public.customers" spellcheck="false" autocapitalize="none" value="${query.get("typed_table") ?? ""}"></div>
        </div></details>
      <div class="field"><label for="f-destination">To</label>
        <select id="f-destination" name="destination">${destinations.map((each) => html`<option value="${each.id}"${String(each.id) === chosenDestination ? html` selected` : ""}>${labelOf(each)}</option>`)}</select></div>
      <div class="actions"><button class="main" type="submit">Go on</button>
        <button class="quiet framed-only" type="button" data-cancel>Cancel</button></div>
    </form>
  </div>`;
}

async function objectsOf(
  db: Kysely<Database>,
  { source, items, link }: { source: StoredItem; items: readonly StoredItem[]; link: Link },
): Promise<{ label: string; objects: { value: string; words: string }[] }> {
  const models = items
    .filter(({ kind, settings }) => kind === "model" && settings["source"] === source.name)
    .map((model) => ({ value: `model:${model.id}`, words: `${labelOf(model)} (model)` }));
  const tables = await selectTables(db, { workspaceId: link.workspace_id, sourceId: source.id })
    .where("table.is_gone", "=", false)
    .orderBy("table.table_schema")
    .orderBy("table.table_name")
    .limit(MOST_TABLES)
    .execute();
  const listed = tables.map(({ table_schema: schema, table_name: name }) => ({
    value: `table:${source.id}:${schema}.${name}`,
    words: `${schema}.${name}`,
  }));
  return { label: labelOf(source), objects: [...models, ...listed] };
}
