/** Shows the page of a sync, and saves what a person made of it. */
import type { Context } from "hono";
import type { StoredItem } from "../../configuration/configItem.ts";
import { checkChange, createObject, type EntryOf, updateObject } from "../../configuration/objectDesk.ts";
import { entryOf } from "../../configuration/objectEntries.ts";
import { findItem, readItems } from "../../configuration/objectTransaction.ts";
import { readSource } from "../../configuration/store.ts";
import { type Destination, SUPPORTED_OPERATIONS, type SyncObject } from "../../domain/configuration.ts";
import { AppError, NotFound } from "../../domain/errors.ts";
import { noticeOf } from "./connectHandler.ts";
import type { Notice } from "./connectPage.ts";
import { pageAnswer } from "./layout.ts";
import { framingOf, type LinkVisit, saveWithLink } from "./linkVisit.ts";
import { rowsOfColumns } from "./mappingRows.ts";
import type { PageEnv } from "./pageEnv.ts";
import type { Submission } from "./submission.ts";
import { type Chosen, choiceContent, readChoice } from "./syncChoice.ts";
import {
  entryOfState,
  placeOfFault,
  type SyncState,
  stateOfEntry,
  stateOfForm,
  withMoreRows,
} from "./syncForm.ts";
import { type SyncView, syncContent } from "./syncPage.ts";
import { resendToConfirm, type ToConfirm } from "./syncResend.ts";

/** What the page is about. */
interface Subject {
  /** Null for a new one. */
  id: number | null;
  entry: EntryOf["sync"];
  isPaused: boolean;
  view: Pick<SyncView, "title" | "from" | "to" | "hidden" | "operations">;
  source: { id: number; object: SyncObject };
}

/** The page as it is first shown; of a new sync first the choice of what goes where. */
export async function showSyncPage(context: Context, visit: LinkVisit): Promise<Response> {
  const query = new URL(context.req.url).searchParams;
  const subject = await subjectOf(visit, (name) => query.get(name) ?? "");
  if (subject === null) return choicePage(context, visit, query);
  const { columns, notice } = await columnsOf(visit, subject);
  const state = stateOfEntry(subject.entry, subject.isPaused);
  const names = columns ?? [];
  const first =
    subject.id === null
      ? {
          ...state,
          key: keyAmong(names),
          rows: rowsOfColumns(names.filter((name) => name !== keyAmong(names))),
        }
      : state;
  return answer(context, visit, { subject, columns, state: first, faults: new Map(), notice });
}

/** What a person sent: `action` is save, or add for more rows. */
export async function takeSyncForm(
  context: Context<PageEnv>,
  visit: LinkVisit & { sent: Submission },
): Promise<Response> {
  const { sent, objects, link, actor } = visit;
  const subject = await subjectOf(visit, (name) => sent.text(name));
  if (subject === null) return choicePage(context, visit, new URLSearchParams());
  const state = stateOfForm(sent);
  const faults = new Map<string, string>();
  if (sent.text("action") === "add") {
    const { columns, notice } = await columnsOf(visit, subject);
    return answer(context, visit, { subject, columns, state: withMoreRows(state), faults, notice });
  }
  const common = {
    workspaceId: link.workspace_id,
    actor,
    kind: "sync",
    label: state.label === "" ? null : state.label,
  } as const;
  try {
    const { id } = subject;
    if (id === null) {
      const entry = { ...entryOfState(subject.entry, state), paused: state.isPaused };
      const save = async () => (await createObject(objects, { ...common, entry })).id;
      return await saveWithLink(context, visit, save);
    }
    const edit = (before: EntryOf["sync"]) => entryOfState(before, state);
    const change = { ...common, id, edit, pausedByHand: state.isPaused };
    const checked = await checkChange(objects, { ...change, expectedVersions: null });
    const toConfirm = await resendToConfirm(visit.desk, checked, sent.text("confirmed"));
    if (toConfirm !== null) {
      const { columns } = await columnsOf(visit, subject);
      return await answer(context, visit, { subject, columns, state, faults, toConfirm, status: 409 });
    }
    return await saveWithLink(context, visit, async () => {
      // What was agreed to holds for the sync as it was looked at.
      await updateObject(objects, { ...change, expectedVersions: [checked.before.version] });
      return id;
    });
  } catch (error) {
    const placeOf = placeOfFault(state, subject.entry.mappings);
    const notice = noticeOf(error, (problems) => placed(problems, placeOf, faults));
    const { columns } = await columnsOf(visit, subject);
    return answer(context, visit, { subject, columns, state, faults, notice, status: 400 });
  }
}

const IN_FORM = /^(label|operation|key|frequency|day|hour|minute|cron_expression|mappings|map\.\d+)$/;

/** Puts faults to their fields; gives back those of no field. */
function placed(
  problems: readonly { field: string; message: string }[],
  placeOf: (field: string) => string,
  faults: Map<string, string>,
): string[] {
  const others: string[] = [];
  for (const { field, message } of problems) {
    const place = placeOf(field);
    if (IN_FORM.test(place)) faults.set(place, [faults.get(place), message].filter(Boolean).join(" "));
    else others.push(field === "" ? message : `${field}: ${message}`);
  }
  return others;
}

/** `id`, or a column that ends like one, or the first. */
function keyAmong(columns: readonly string[]): string {
  const byName = (test: RegExp) => columns.find((name) => test.test(name));
  return byName(/^id$/i) ?? byName(/_id$|Id$/) ?? columns[0] ?? "";
}

type Asked = (name: string) => string;

const labelOf = ({ label, name }: { label?: string | null; name: string }): string => label ?? name;

/** Null while it is not chosen what a new sync reads and where it sends. */
async function subjectOf({ desk, link }: LinkVisit, asked: Asked): Promise<Subject | null> {
  const items = await readItems(desk.db, desk.box, link.workspace_id);
  if (link.purpose === "sync_management") return newSubject(items, asked);
  const item = findItem(items, { kind: "sync", id: link.sync_id ?? 0, expectedVersions: null });
  return standingSubject(desk, { items, item, asked });
}

function newSubject(items: readonly StoredItem[], asked: Asked): Subject | null {
  const chosen: Chosen | null = readChoice(items, asked);
  if (chosen === null) return null;
  const { destination } = chosen;
  const type = destination.settings["type"] as Destination["type"];
  return {
    id: null,
    entry: { ...chosen.entry, destination: destination.name, key: "" },
    isPaused: false,
    source: chosen.source,
    view: {
      title: "New sync",
      from: asked("source_hidden") === "true" ? null : chosen.words,
      to: asked("destination_hidden") === "true" ? null : labelOf(destination),
      hidden: chosen.hidden,
      operations: SUPPORTED_OPERATIONS[type],
    },
  };
}

async function standingSubject(
  { db }: LinkVisit["desk"],
  { items, item, asked }: { items: readonly StoredItem[]; item: StoredItem; asked: Asked },
): Promise<Subject> {
  const row = await db
    .selectFrom("egret.syncs as sync")
    .leftJoin("egret.models as model", "model.id", "sync.model_id")
    .select(["sync.source_id", "sync.model_id", "sync.table_schema", "sync.table_name", "sync.paused"])
    .select(["model.name as model_name", "model.query as model_query"])
    .where("sync.id", "=", item.id)
    .executeTakeFirst();
  if (row === undefined) throw new NotFound(`there is no sync ${item.id}`);
  const object: SyncObject =
    row.model_id === null
      ? { type: "table", schema: row.table_schema ?? "", table: row.table_name ?? "" }
      : { type: "model", modelId: row.model_id, name: row.model_name ?? "", query: row.model_query ?? "" };
  const entry = entryOf("sync", item);
  const nameIn = (kind: StoredItem["kind"], name: string | undefined) =>
    labelOf(items.find((each) => each.kind === kind && each.name === name) ?? { name: name ?? "" });
  const from =
    entry.model === undefined
      ? `${entry.table ?? ""} in ${nameIn("source", entry.source)}`
      : `Model ${nameIn("model", entry.model)}`;
  return {
    id: item.id,
    entry,
    isPaused: row.paused || entry.paused === true,
    source: { id: row.source_id, object },
    view: {
      title: entry.label ?? item.name,
      from: asked("source_hidden") === "true" ? null : from,
      to: asked("destination_hidden") === "true" ? null : nameIn("destination", entry.destination),
      hidden: {},
      operations: null,
    },
  };
}

async function columnsOf(
  { desk, objects }: LinkVisit,
  { source }: Subject,
): Promise<{ columns: string[] | null; notice: Notice | null }> {
  try {
    const found = await readSource(desk.db, desk.box, source.id);
    if (found === null) return { columns: null, notice: null };
    const columns = await objects.describe(found, source.object);
    return { columns: columns.map(({ name }) => name), notice: null };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const text = `The columns cannot be read now. ${error.message}`;
    return { columns: null, notice: { isGood: false, text } };
  }
}

async function choicePage(context: Context, visit: LinkVisit, query: URLSearchParams): Promise<Response> {
  const { desk, link, workspace } = visit;
  const items = await readItems(desk.db, desk.box, link.workspace_id);
  const content = await choiceContent({ db: desk.db, items, workspace, query, link });
  return pageAnswer(context, { title: "New sync", content, framing: framingOf(link) });
}

function answer(
  context: Context,
  { link, workspace }: LinkVisit,
  {
    subject,
    status = 200,
    notice = null,
    toConfirm = null,
    ...shown
  }: {
    subject: Subject;
    columns: string[] | null;
    state: SyncState;
    faults: Map<string, string>;
    notice?: Notice | null;
    toConfirm?: ToConfirm | null;
    status?: 200 | 400 | 409;
  },
): Promise<Response> {
  const view: SyncView = { ...subject.view, ...shown, notice, toConfirm, workspace };
  const content = syncContent(view);
  return pageAnswer(context, { title: view.title, content, isWide: true, status, framing: framingOf(link) });
}
