/** Where a text stops being JSON: the engine's own message names no position for every fault, and quotes the text. */

/** A fault; `position` counts characters from 0, `line` and `column` from 1. */
export interface JsonFault {
  position: number;
  line: number;
  column: number;
  reason: string;
}

const SPACE = /[ \t\n\r]*/y;
// oxlint-disable-next-line no-control-regex -- JSON wants them escaped
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;

class Fault extends Error {}

/** The first fault of a text that is no JSON; null when none is found. */
export function jsonFault(text: string): JsonFault | null {
  const scanner = new Scanner(text);
  try {
    scanner.document();
    return null;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const before = text.slice(0, scanner.at);
    const line = before.split("\n").length;
    return {
      position: scanner.at,
      line,
      column: scanner.at - before.lastIndexOf("\n"),
      reason: error.message,
    };
  }
}

/** Goes through the text once; what is open is a list of its own, so that depth does not matter. */
class Scanner {
  at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  document(): void {
    const open: ("}" | "]")[] = [];
    let isOver = this.#value(open);
    for (;;) {
      this.#skip(SPACE);
      const closing = open.at(-1);
      if (closing === undefined) {
        if (this.at < this.#text.length) throw new Fault("something follows its end");
        return;
      }
      if (isOver && this.#take(closing)) {
        open.pop();
        continue;
      }
      if (isOver && !this.#take(",")) throw this.#expected(`"," or "${closing}"`);
      if (!isOver && this.#take(closing)) {
        open.pop();
        isOver = true;
        continue;
      }
      if (closing === "}") this.#key();
      isOver = this.#value(open);
    }
  }

  /** True when the value ended, false when a list or an object was opened. */
  #value(open: ("}" | "]")[]): boolean {
    this.#skip(SPACE);
    if (this.#take("{")) open.push("}");
    else if (this.#take("[")) open.push("]");
    else if (this.#skip(STRING) || this.#skip(SCALAR)) return true;
    else throw this.#expected("a value");
    return false;
  }

  #key(): void {
    this.#skip(SPACE);
    if (!this.#skip(STRING)) throw this.#expected("a key in double quotes");
    this.#skip(SPACE);
    if (!this.#take(":")) throw this.#expected('":"');
  }

  #expected(what: string): Fault {
    const isEnd = this.at >= this.#text.length;
    return new Fault(isEnd ? `it ends where ${what} is expected` : `${what} is expected`);
  }

  #take(character: string): boolean {
    if (this.#text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    const length = pattern.exec(this.#text)?.[0].length ?? 0;
    this.at += length;
    return length > 0;
  }
}
