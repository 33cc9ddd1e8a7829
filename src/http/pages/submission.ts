/** What a person sent by a form: texts, ticks, and secrets, of which those typed a moment ago come back sealed. */
import { InvalidInput } from "../../domain/errors.ts";
import type { SecretBox } from "../../security/secretBox.ts";

/** Longest text of one field. */
const MAX_TEXT = 20_000;

/** A form as it was posted. */
export class Submission {
  readonly #form: URLSearchParams;
  readonly #box: SecretBox;
  readonly #linkId: number;

  constructor(form: URLSearchParams, { box, linkId }: { box: SecretBox; linkId: number }) {
    this.#form = form;
    this.#box = box;
    this.#linkId = linkId;
  }

  /** Text of a field without spaces around it; empty when it was not sent. */
  text(name: string): string {
    return (this.#form.get(name) ?? "").slice(0, MAX_TEXT).trim();
  }

  /** Every text of that name, in their order. */
  all(name: string): string[] {
    return this.#form.getAll(name).map((text) => text.slice(0, MAX_TEXT));
  }

  has(name: string): boolean {
    return this.#form.has(name);
  }

  isTicked(name: string): boolean {
    return this.#form.has(name);
  }

  /** A secret as it was typed, now or on the page before; null when neither. Spaces in it count. */
  secret(name: string): string | null {
    const typed = (this.#form.get(name) ?? "").slice(0, MAX_TEXT);
    return typed === "" ? this.#draft(name) : typed;
  }

  /** Names with their secret values; null when none were typed. Later ones of a name win. */
  pairs(name: string): Record<string, string> | null {
    const [names, values] = [this.all(`${name}.name`), this.all(`${name}.value`)];
    const pairs = names.flatMap((each, at): [string, string][] => {
      const [key, value] = [each.trim(), values[at] ?? ""];
      return key === "" && value === "" ? [] : [[key, value]];
    });
    if (pairs.length > 0) return Object.fromEntries(pairs);
    const draft = this.#draft(name);
    return draft === null ? null : (JSON.parse(draft) as Record<string, string>);
  }

  /** A secret for the next page, which only this link's form can bring back. */
  sealed(name: string, value: string | Record<string, string>): string {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return this.#box.seal(this.#purpose(name), text);
  }

  #draft(name: string): string | null {
    const draft = this.#form.get(`draft.${name}`);
    if (draft === null || draft === "") return null;
    try {
      return this.#box.open(this.#purpose(name), draft);
    } catch (error) {
      if (error instanceof InvalidInput) return null;
      throw error;
    }
  }

  #purpose(name: string): string {
    return `draft of link ${this.#linkId} ${name}`;
  }
}
