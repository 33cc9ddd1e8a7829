/** What the page for credentials asks of a kind of connection: its fields, what is made of them, and how it is tried. */
import type { EntryOf } from "../../configuration/objectDesk.ts";
import type { TriedConnection } from "../../runtime/trials/connectionTrial.ts";
import type { ApiDesk } from "../api/apiDesk.ts";
import type { FieldState, FormField } from "./formField.ts";
import type { Submission } from "./submission.ts";

/** Fields that stand together. */
export interface FieldGroup {
  /** Null for the first one. */
  title: string | null;
  /** Whether it is to be opened by a click. */
  isFolded: boolean;
  /** Each row's fields stand side by side on a wide screen. */
  rows: readonly FormField[][];
}

/** What was read from a form. */
export interface ReadForm<E> {
  entry: E;
  /** The form's field for a field of the entry in which something is wrong. */
  nameOf(field: string): string;
}

/** A kind of connection. */
export interface ConnectForm<K extends "source" | "destination"> {
  kind: K;
  /** As in "Connect a Webhook". */
  label: string;
  groups: readonly FieldGroup[];
  /** Choices and ticks of a new one, by field. */
  defaults: ReadonlyMap<string, unknown>;
  /**
   * The entry that the form makes, over the one that stands.
   * @throws InvalidInput by the form's own fields; also when a stored secret would go to another address.
   */
  read(sent: Submission, before: EntryOf[K] | null): ReadForm<EntryOf[K]>;
  /** What the form shows of the entry that stands: no secret, only that there is one. */
  shown(before: EntryOf[K]): Map<string, FieldState>;
  tryOut(entry: EntryOf[K], desk: ApiDesk): Promise<TriedConnection>;
}
