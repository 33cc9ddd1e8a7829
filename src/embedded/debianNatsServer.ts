/** Fetches the nats-server package of a newer suite through apt, from the archives that the machine already uses. */
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { deriveSuite, type SourcesFile } from "./aptSources.ts";

interface Distribution {
  /** Suites that carry a server new enough, the most settled first. */
  suites: readonly string[];
  component: string;
}

const DISTRIBUTIONS: Readonly<Record<string, Distribution>> = {
  debian: { suites: ["forky", "sid"], component: "main" },
  ubuntu: { suites: ["resolute", "devel"], component: "universe" },
};
const APT_TIMEOUT_MS = 90_000;

const run = promisify(execFile);

/** Downloads and unpacks the package into the folder; resolves to the binary. Touches nothing outside the folder. */
export async function fetchDebianNatsServer(folder: string): Promise<string> {
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const id = /^ID="?([a-z]+)/m.exec(release)?.[1] ?? process.platform;
  const codename = /^VERSION_CODENAME="?([a-z]+)/m.exec(release)?.[1] ?? "unstable";
  const distribution = DISTRIBUTIONS[id];
  if (distribution === undefined) throw new Error(`${id} is neither Debian nor Ubuntu`);
  const sources = await readSources();
  const reasons: string[] = [];
  for (const suite of distribution.suites) {
    const stanzas = deriveSuite(sources, { suite, component: distribution.component, codename });
    if (stanzas.length === 0)
      throw new Error("this machine's apt sources name no archive of its distribution");
    try {
      return await fetchFrom(path.join(folder, suite), stanzas);
    } catch (error) {
      reasons.push(`${suite}: ${(error as Error).message}`);
    }
  }
  throw new Error(reasons.join("; "));
}

async function readSources(): Promise<SourcesFile[]> {
  const parts = "/etc/apt/sources.list.d";
  const names = (await readdir(parts).catch(() => []))
    .filter((name) => /\.(sources|list)$/.test(name))
    .sort();
  const files = ["/etc/apt/sources.list", ...names.map((name) => path.join(parts, name))];
  return await Promise.all(
    files.map(async (name) => ({ name, text: await readFile(name, "utf8").catch(() => "") })),
  );
}

async function fetchFrom(folder: string, stanzas: readonly string[]): Promise<string> {
  const parts = path.join(folder, "sources");
  const lists = path.join(folder, "lists");
  const cache = path.join(folder, "cache");
  const unpacked = path.join(folder, "unpacked");
  await mkdir(path.join(lists, "partial"), { recursive: true });
  await mkdir(path.join(cache, "archives", "partial"), { recursive: true });
  await mkdir(parts);
  await writeFile(path.join(parts, "egret.sources"), stanzas.join("\n"));

  const options = [
    "Dir::Etc::sourcelist=/dev/null",
    `Dir::Etc::sourceparts=${parts}`,
    `Dir::State::lists=${lists}`,
    `Dir::Cache=${cache}`,
    "Acquire::Languages=none",
    "Acquire::Retries=1",
    "Acquire::http::Timeout=15",
    // As root apt would drop to the account _apt, which cannot enter a folder that is ours alone, and warn of it.
    ...(process.getuid?.() === 0 ? ["APT::Sandbox::User=root"] : []),
  ].flatMap((option) => ["-o", option]);
  await apt(["-qq", ...options, "update"], folder);
  await apt(["-qq", ...options, "download", "nats-server"], folder);

  const archive = (await readdir(folder)).find((name) => name.endsWith(".deb"));
  if (archive === undefined) throw new Error("apt-get downloaded no package");
  await run("dpkg-deb", ["-x", path.join(folder, archive), unpacked]);
  return path.join(unpacked, "usr", "sbin", "nats-server");
}

async function apt(args: readonly string[], cwd: string): Promise<void> {
  try {
    await run("apt-get", [...args], { cwd, timeout: APT_TIMEOUT_MS, env: { ...process.env, LC_ALL: "C" } });
  } catch (error) {
    const { code, stderr } = error as NodeJS.ErrnoException & { stderr?: string };
    if (code === "ENOENT") throw new Error("there is no apt-get", { cause: error });
    const said = (stderr ?? "").split("\n").find((line) => line.startsWith("E:"));
    throw new Error(said ?? `apt-get ${args.at(-1)} failed or took too long`, { cause: error });
  }
}
