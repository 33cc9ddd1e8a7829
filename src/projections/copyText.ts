/** Text in the format in which COPY reads rows: a line each, values between tabs. */

/** What stands for no value. */
export const COPY_NULL = "\\N";
const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\t": "\\t",
  "\n": "\\n",
  "\r": "\\r",
};

/** A value's text with what has a meaning in that format escaped. */
export function copyText(value: string | null): string {
  if (value === null) return COPY_NULL;
  return /[\\\t\n\r]/.test(value)
    ? value.replaceAll(/[\\\t\n\r]/g, (character) => ESCAPES[character] ?? character)
    : value;
}
