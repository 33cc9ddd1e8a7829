/** Writes the JSON Schemas into docs/; with --check it only says whether they are current, and fails when not. */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { SCHEMA_FOLDERS, schemaFiles } from "../src/configuration/jsonSchema.ts";

const root = path.join(import.meta.dirname, "..");
const wanted = schemaFiles();

/** Generated files that nothing generates any more. */
async function staleFiles(): Promise<string[]> {
  const found: string[] = [];
  for (const folder of SCHEMA_FOLDERS) {
    const names = await readdir(path.join(root, folder)).catch(() => []);
    found.push(...names.filter((name) => name.endsWith(".schema.json")).map((name) => `${folder}/${name}`));
  }
  return found.filter((file) => !wanted.has(file));
}

async function changedFiles(): Promise<string[]> {
  const changed: string[] = [];
  for (const [file, text] of wanted) {
    const old = await readFile(path.join(root, file), "utf8").catch(() => null);
    if (old !== text) changed.push(file);
  }
  return changed;
}

const [changed, stale] = [await changedFiles(), await staleFiles()];
if (process.argv.includes("--check")) {
  for (const file of changed) console.error(`${file} is not current; run: npm run schemas`);
  for (const file of stale) console.error(`${file} is generated from nothing any more; run: npm run schemas`);
  process.exitCode = changed.length + stale.length > 0 ? 1 : 0;
} else {
  for (const file of changed) {
    await mkdir(path.dirname(path.join(root, file)), { recursive: true });
    await writeFile(path.join(root, file), wanted.get(file) ?? "");
    console.log(`wrote ${file}`);
  }
  for (const file of stale) {
    await rm(path.join(root, file));
    console.log(`removed ${file}`);
  }
}
