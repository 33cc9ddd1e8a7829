/** `${NAME}` and `${NAME:-default}` in egret.yaml: kept whole through the YAML parser, then filled from the environment. */

const REFERENCE = /\$\{[^}\r\n]*\}/g;
const PLACEHOLDER = /\$(\$\{[^}\r\n]*\})|\$\{([^}\r\n]*)\}/g;
const FORM = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;
/** A stretch of Unicode's private use area that mirrors ASCII. */
const MASK = 0xf000;
const MASKED = /\uf024\uf07b[^\uf07d]*\uf07d/g;
const MASKED_LETTER = /[\uf020-\uf07e]/g;

/**
 * Hides each reference from the YAML parser, to which a bare `{` in `{ url: ${X} }` is the start of a map. One letter
 * becomes one letter, so that every position stays true.
 */
export function maskReferences(text: string): string {
  return text.replace(REFERENCE, (reference) =>
    reference.replace(/[\x20-\x7e]/g, (letter) => String.fromCharCode(MASK + letter.charCodeAt(0))),
  );
}

/** Undoes `maskReferences`, also within a message of the parser. */
export function unmaskReferences(text: string): string {
  return text.replace(MASKED, (reference) =>
    reference.replace(MASKED_LETTER, (letter) => String.fromCharCode(letter.charCodeAt(0) - MASK)),
  );
}

/** A text with its references filled in. */
export interface Filled {
  text: string;
  /** Whether anything came from the environment: then the text may be a secret, and is not shown. */
  fromEnvironment: boolean;
  /** One sentence per reference that could not be filled, with the fix. */
  problems: string[];
}

/** Fills references; `$${X}` stands for the text `${X}` itself, and a default takes the place of an unset or empty variable. */
export function fillReferences(text: string, env: Readonly<Record<string, string | undefined>>): Filled {
  const problems: string[] = [];
  let fromEnvironment = false;
  const filled = text.replace(
    PLACEHOLDER,
    (whole, escaped: string | undefined, inner: string | undefined) => {
      if (escaped !== undefined) return escaped;
      const [, name, fallback] = FORM.exec(inner ?? "") ?? [];
      if (name === undefined) {
        problems.push(
          `${whole} is not of the form \${NAME} or \${NAME:-default}; write $${whole} for the text itself.`,
        );
        return "";
      }
      fromEnvironment = true;
      const value = env[name] ?? "";
      if (value !== "") return value;
      if (fallback === undefined) {
        problems.push(`The environment variable ${name} is not set; set it, or write \${${name}:-default}.`);
      }
      return fallback ?? "";
    },
  );
  return { text: filled, fromEnvironment, problems };
}
