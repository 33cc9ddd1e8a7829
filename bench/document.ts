/** Puts the last table into docs/performance.md, between its two markers. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";

const FILE = path.resolve(import.meta.dirname, "../docs/performance.md");
const BEGIN = "<!-- bench:begin -->";
const END = "<!-- bench:end -->";

/** @throws when the markers are not there. */
export async function writeDocument(text: string): Promise<void> {
  const document = await readFile(FILE, "utf8");
  const from = document.indexOf(BEGIN);
  const to = document.indexOf(END);
  if (from < 0 || to < from) throw new Error(`${FILE} has lost its markers ${BEGIN} and ${END}`);
  const head = document.slice(0, from + BEGIN.length);
  await writeFile(FILE, `${head}\n${text}\n${document.slice(to)}`);
}
