/** Writes what is drawn and listed from the code: docs/machines.md and two parts of the README; --check only compares. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { configVariables } from "../src/config.ts";
import { drawCharts } from "./statecharts.ts";

const root = path.join(import.meta.dirname, "..");

function machinesPage(): string {
  const intro = "Drawn from `machines/` by `npm run diagrams`; do not edit.";
  return ["# The statecharts", "", intro, "", drawCharts("##")].join("\n");
}

function variableTable(): string {
  const rows = configVariables().map(({ name, help, fallback }) => {
    const shown = fallback === null ? "" : `\`${fallback}\``;
    return `| \`${name}\` | ${shown} | ${help} |`;
  });
  return `\n| variable | default | what for |\n| --- | --- | --- |\n${rows.join("\n")}\n\n`;
}

/** Puts `content` between the two comments that mark a generated part. */
function between(text: string, part: string, content: string): string {
  const [begin, end] = [`<!-- ${part}:begin -->\n`, `<!-- ${part}:end -->`];
  const [from, to] = [text.indexOf(begin) + begin.length, text.indexOf(end)];
  if (from < begin.length || to < from) throw new Error(`README.md has no part ${part}`);
  return text.slice(0, from) + content + text.slice(to);
}

const readme = await readFile(path.join(root, "README.md"), "utf8");
const wanted = {
  "docs/machines.md": machinesPage(),
  "README.md": between(between(readme, "machines", `\n${drawCharts("###")}\n`), "variables", variableTable()),
};
for (const [name, text] of Object.entries(wanted)) {
  const file = path.join(root, name);
  if ((await readFile(file, "utf8").catch(() => "")) === text) continue;
  if (process.argv.includes("--check")) {
    console.error(`${name} is not current: run \`npm run diagrams\``);
    process.exitCode = 1;
  } else {
    await writeFile(file, text);
    console.log(`wrote ${name}`);
  }
}
