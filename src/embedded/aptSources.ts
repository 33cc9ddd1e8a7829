/** Reads a machine's own apt sources and derives an entry for another suite of the same archive. */

/** A source entry in the deb822 format, ready to be written into a `.sources` file. */
export type Deb822Stanza = string;

/** One apt sources file: its name decides its format. */
export interface SourcesFile {
  name: string;
  text: string;
}

/** What an entry is re-aimed at. */
export interface NewerSuite {
  suite: string;
  component: string;
  /** The machine's own suite: an entry that names it is the distribution's archive. */
  codename: string;
}

const SUITE_ALIASES = ["oldstable", "stable", "testing", "unstable", "sid"];

/** The distribution's own archives, re-aimed at a newer suite; security archives and other vendors' are left out. */
export function deriveSuite(files: readonly SourcesFile[], newer: NewerSuite): Deb822Stanza[] {
  const derived = files.flatMap(({ name, text }) =>
    name.endsWith(".sources") ? fromDeb822(text, newer) : fromOneLine(text, newer),
  );
  return [...new Set(derived)];
}

function fromDeb822(text: string, newer: NewerSuite): Deb822Stanza[] {
  const stanzas = text.split(/\n[ \t]*\n/).map(readFields);
  return stanzas.flatMap((fields) => {
    const isBinary = (fields.get("types") ?? "").split(/\s+/).includes("deb");
    const isOn = !/^(no|false|off|0)$/i.test(fields.get("enabled") ?? "yes");
    const uris = (fields.get("uris") ?? "").trim();
    const isOurs = isMainArchive(fields.get("suites") ?? "", fields.get("components") ?? "", newer);
    if (!isBinary || !isOn || uris === "" || !isOurs) return [];
    const rest = [...fields].filter(([key]) => ["signed-by", "trusted", "architectures"].includes(key));
    return [stanza(uris, newer, rest)];
  });
}

/** Field names in lower case; continuation lines keep their breaks, which an inline key needs. */
function readFields(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  let last: string | undefined;
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) continue;
    const field = /^([A-Za-z-]+):[ \t]*(.*)$/.exec(line);
    if (field?.[1] !== undefined) {
      last = field[1].toLowerCase();
      fields.set(last, field[2] ?? "");
    } else if (/^[ \t]/.test(line) && last !== undefined) {
      fields.set(last, `${fields.get(last)}\n${line}`);
    }
  }
  return fields;
}

function fromOneLine(text: string, newer: NewerSuite): Deb822Stanza[] {
  return text.split("\n").flatMap((line) => {
    const entry = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)$/.exec(line.replace(/\s#.*$/, ""));
    if (entry === null) return [];
    const [, options = "", uri = "", suite = "", components = ""] = entry;
    if (!isMainArchive(suite, components, newer)) return [];
    const rest = options
      .split(/\s+/)
      .map((option) => option.split("="))
      .flatMap(([key, value]): [string, string][] => {
        const field = { "signed-by": "signed-by", trusted: "trusted", arch: "architectures" }[key ?? ""];
        return field === undefined || value === undefined ? [] : [[field, value.replaceAll(",", " ")]];
      });
    return [stanza(uri, newer, rest)];
  });
}

/** Other vendors name suites or components of their own; security and update suites carry a suffix. */
function isMainArchive(suites: string, components: string, { codename }: NewerSuite): boolean {
  const ours = new Set([codename, ...SUITE_ALIASES]);
  return suites.split(/\s+/).some((name) => ours.has(name)) && components.split(/\s+/).includes("main");
}

function stanza(uris: string, newer: NewerSuite, rest: readonly [string, string][]): Deb822Stanza {
  const fields: [string, string][] = [
    ["types", "deb"],
    ["uris", uris],
    ["suites", newer.suite],
    ["components", newer.component],
    ...rest,
  ];
  return `${fields.map(([key, value]) => `${key}: ${value}`).join("\n")}\n`;
}
