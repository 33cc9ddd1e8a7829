/** Shows the page for credentials, tries what was entered, and saves it: a new source or destination, or one that there is. */
import type { Context } from "hono";
import type { Link } from "../../configuration/links.ts";
import {
  checkObject,
  createObject,
  type EntryOf,
  type ObjectDesk,
  updateObject,
} from "../../configuration/objectDesk.ts";
import { entryOf } from "../../configuration/objectEntries.ts";
import { findItem, readItems } from "../../configuration/objectTransaction.ts";
import { readSource } from "../../configuration/store.ts";
import { AppError, InvalidInput, Unavailable } from "../../domain/errors.ts";
import { refreshTables, testSource } from "../../runtime/sourceRefresh.ts";
import type { ApiDesk } from "../api/apiDesk.ts";
import { testSoon } from "../api/connectionTests.ts";
import type { ConnectForm } from "./connectForm.ts";
import {
  type ConnectView,
  connectContent,
  connectTitle,
  firstStates,
  type Notice,
  statesOf,
  withFaults,
} from "./connectPage.ts";
import { DESTINATION_FORMS } from "./destinationForm.ts";
import type { FieldState } from "./formField.ts";
import { pageAnswer } from "./layout.ts";
import { framingOf, type LinkVisit, saveWithLink } from "./linkVisit.ts";
import type { PageEnv } from "./pageEnv.ts";
import { postgresForm } from "./sourceForm.ts";
import type { Submission } from "./submission.ts";

type Kind = "source" | "destination";

/** What a link is about: the form, and the object that there is. */
interface Subject {
  form: ConnectForm<Kind>;
  id: number | null;
  existing: { label: string; entry: EntryOf[Kind] } | null;
}

/** The page as it is first shown. */
export async function showConnectPage(context: Context, visit: LinkVisit): Promise<Response> {
  const subject = await subjectOf(visit);
  const { form, existing } = subject;
  const states = existing === null ? firstStates(form.groups, form.defaults) : form.shown(existing.entry);
  if (existing !== null) states.set("label", { value: existing.label });
  return answer(context, visit, { subject, states, notice: null });
}

/** What a person sent: `action` is save or test. */
export async function takeConnectForm(
  context: Context<PageEnv>,
  visit: LinkVisit & { sent: Submission },
): Promise<Response> {
  const { desk, objects, link, sent } = visit;
  const subject = await subjectOf(visit);
  const { form, existing } = subject;
  const stored = existing === null ? new Map<string, FieldState>() : form.shown(existing.entry);
  const states = statesOf(form.groups, { sent, stored });
  let nameOf = (field: string): string => field;
  try {
    const read = form.read(sent, existing?.entry ?? null);
    nameOf = read.nameOf;
    if (sent.text("action") === "test") {
      const notice = await tried(visit, subject, read.entry);
      return await answer(context, visit, { subject, states, notice });
    }
    return await saveWithLink(context, visit, async () => {
      const id = await save(objects, { link, subject, sent, entry: read.entry, actor: visit.actor });
      if (form.kind === "destination") await testSoon(desk, id);
      else lookAtSource(desk, id);
      return id;
    });
  } catch (error) {
    const notice = noticeOf(error, (problems) =>
      withFaults(
        states,
        form.groups,
        problems.map(({ field, message }) => ({ field: nameOf(field), message })),
      ),
    );
    return answer(context, visit, { subject, states, notice, status: 400 });
  }
}

/**
 * What is told above a form when it was refused; `place` puts faults to their fields and gives back the others.
 * @throws whatever was no refusal.
 */
export function noticeOf(error: unknown, place: (problems: InvalidInput["problems"]) => string[]): Notice {
  if (!(error instanceof AppError)) throw error;
  if (error instanceof InvalidInput && error.problems.length > 0) {
    return { isGood: false, text: "Something is not right yet: see below.", details: place(error.problems) };
  }
  const isBusy = error instanceof Unavailable;
  return { isGood: false, text: isBusy ? "Something that is needed does not answer now." : error.message };
}

async function subjectOf({ desk, objects, link }: LinkVisit): Promise<Subject> {
  const kind: Kind = link.purpose.startsWith("source") ? "source" : "destination";
  const id = link.purpose.endsWith("_credentials")
    ? kind === "source"
      ? link.source_id
      : link.destination_id
    : null;
  const form = (
    kind === "source" ? postgresForm : DESTINATION_FORMS.find(({ type }) => type === link.type)
  ) as ConnectForm<Kind> | undefined;
  if (form === undefined) throw new Error(`link ${link.id} is for the unknown type ${link.type}`);
  if (id === null) return { form, id, existing: null };
  const items = await readItems(desk.db, objects.box, link.workspace_id);
  const item = findItem(items, { kind, id, expectedVersions: null });
  return { form, id, existing: { label: item.label ?? item.name, entry: entryOf(kind, item) } };
}

async function tried(
  { desk, objects, link, actor }: LinkVisit,
  { form }: Subject,
  entry: EntryOf[Kind],
): Promise<Notice> {
  // The checks of a new object hold for the address whatever it is for.
  const label = "Connection under test";
  await checkObject(objects, { workspaceId: link.workspace_id, actor, kind: form.kind, label, entry });
  const { ok, message } = await form.tryOut(entry, desk);
  return {
    isGood: ok,
    text: ok ? `The connection works. ${message}` : `The connection does not work. ${message}`,
  };
}

/** Keeps whether it answers, and which tables it has: for those who look at it next. Nobody waits for that. */
function lookAtSource({ db, box, now, logger }: ApiDesk, id: number): void {
  const look = async () => {
    const source = await readSource(db, box, id);
    if (source !== null && (await testSource(db, source, now())).ok) await refreshTables(db, source);
  };
  look().catch((err: unknown) => logger.warn({ err, source: id }, "source.test_failed"));
}

async function save(
  objects: ObjectDesk,
  {
    link,
    subject,
    sent,
    entry,
    actor,
  }: { link: Link; subject: Subject; sent: Submission; entry: EntryOf[Kind]; actor: string },
): Promise<number> {
  const { form, id } = subject;
  const common = { workspaceId: link.workspace_id, actor, kind: form.kind, label: sent.text("label") };
  if (id === null) return (await createObject(objects, { ...common, entry })).id;
  // What was stored meanwhile by someone else is merged with, not written over.
  const edit = (before: EntryOf[Kind]) => form.read(sent, before).entry;
  await updateObject(objects, { ...common, id, expectedVersions: null, edit });
  return id;
}

async function answer(
  context: Context,
  visit: LinkVisit,
  {
    subject,
    states,
    notice,
    status = 200,
  }: { subject: Subject; states: Map<string, FieldState>; notice: Notice | null; status?: 200 | 400 },
): Promise<Response> {
  const { form, existing } = subject;
  const view: ConnectView = {
    form,
    workspace: visit.workspace,
    existing: existing?.label ?? null,
    states,
    notice,
  };
  const title = connectTitle(view);
  return pageAnswer(context, {
    title,
    content: connectContent(view),
    status,
    framing: framingOf(visit.link),
  });
}
