/**
 * Makes the published client: types and operations from the OpenAPI document, then plain JavaScript with declarations,
 * because Node strips no types below node_modules. With --check it only says whether all of it is current.
 */
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { apiApp } from "../src/http/api/apiApp.ts";
import type { ApiDesk } from "../src/http/api/apiDesk.ts";
import { type ApiDocument, operationsText, schemaText } from "./clientTypes.ts";

const root = path.join(import.meta.dirname, "..");
const folder = path.join(root, "src", "client");
const published = path.join(folder, "published");
const run = promisify(execFile);

/** Text files by their paths from the root. */
type Files = Map<string, string>;

/** The document needs none of what the routes work with: whatever they ask of it while they are mounted, they get it again. */
function apiDocument(): ApiDocument {
  const nothing: object = new Proxy(() => nothing, {
    get: (_, name) => {
      if (name === Symbol.toPrimitive) return () => "";
      return name === "then" || name === Symbol.iterator ? undefined : nothing;
    },
    apply: () => nothing,
  });
  const desk = {
    db: nothing,
    database: nothing,
    connection: nothing,
    log: nothing,
    box: nothing,
    outbound: nothing,
  };
  const rest = {
    version: "0",
    requestsPerSecond: 0,
    logger: nothing,
    now: () => new Date(),
    publicUrl: () => "",
  };
  return apiApp({ ...desk, ...rest } as unknown as ApiDesk).document() as unknown as ApiDocument;
}

/** As the repository's formatter writes it. */
function formatted(file: string, text: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const biome = spawn("biome", ["format", `--stdin-file-path=${file}`], {
    cwd: root,
    stdio: ["pipe", "pipe", "inherit"],
  });
  let out = "";
  biome.stdout.setEncoding("utf8").on("data", (part: string) => (out += part));
  biome.once("error", reject);
  biome.once("close", (code) => (code === 0 ? resolve(out) : reject(new Error(`biome ended with ${code}`))));
  biome.stdin.end(text);
  return promise;
}

async function generated(): Promise<Files> {
  const document = apiDocument();
  const texts = {
    "src/client/operations.ts": operationsText(document),
    "src/client/schema.ts": schemaText(document),
  };
  const files: Files = new Map();
  for (const [file, text] of Object.entries(texts)) files.set(file, await formatted(file, text));
  return files;
}

/** What the compiler makes of src/client as it stands. */
async function compiled(): Promise<Files> {
  const out = await mkdtemp(path.join(folder, ".compiled-"));
  try {
    await run("tsc", ["--project", path.join(folder, "tsconfig.json"), "--outDir", out], { cwd: root });
    const files: Files = new Map();
    for (const name of (await readdir(out)).sort()) {
      const text = await readFile(path.join(out, name), "utf8");
      // In declarations the compiler leaves them as they are.
      files.set(`src/client/published/${name}`, text.replaceAll(/ from "(\.\/\w+)\.ts"/g, ' from "$1.js"'));
    }
    return files;
  } finally {
    await rm(out, { recursive: true });
  }
}

async function changedIn(files: Files): Promise<string[]> {
  const changed: string[] = [];
  for (const [file, text] of files) {
    const old = await readFile(path.join(root, file), "utf8").catch(() => null);
    if (old !== text) changed.push(file);
  }
  return changed;
}

async function staleIn(files: Files): Promise<string[]> {
  const names = await readdir(published).catch(() => []);
  return names.map((name) => `src/client/published/${name}`).filter((file) => !files.has(file));
}

const isCheck = process.argv.includes("--check");

async function bring(files: Files, stale: readonly string[] = []): Promise<void> {
  const changed = await changedIn(files);
  if (isCheck) {
    for (const file of [...changed, ...stale]) console.error(`${file} is not current; run: npm run client`);
    if (changed.length + stale.length > 0) process.exitCode = 1;
    return;
  }
  for (const file of changed) {
    await mkdir(path.dirname(path.join(root, file)), { recursive: true });
    await writeFile(path.join(root, file), files.get(file) ?? "");
    console.log(`wrote ${file}`);
  }
  for (const file of stale) {
    await rm(path.join(root, file));
    console.log(`removed ${file}`);
  }
}

await bring(await generated());
const files = await compiled();
await bring(files, await staleIn(files));
