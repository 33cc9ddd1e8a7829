/** Fetches the official nats-server release: one pinned version, checked against a pinned SHA-256. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const VERSION = "2.12.4";
const SHA256: Readonly<Record<string, string>> = {
  "linux-amd64": "92388f2e4aa1e6dea402eb173cbdb1fcb1df9a9c899cb807b91ddbb45c131b65",
  "linux-arm64": "44a6ff34eff7e8d0e1409dbac0b733cff7ecbb4f19388a4d0d3d6085d899f017",
};
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };
const RELEASES = "https://github.com/nats-io/nats-server/releases/download";
/** Long enough for 7 MB on a slow line, short enough for a machine whose firewall swallows packets. */
const CONNECT_TIMEOUT_MS = 8_000;
const DOWNLOAD_TIMEOUT_MS = 120_000;

const run = promisify(execFile);

/** Downloads, checks and unpacks the release into the folder; resolves to the binary. */
export async function fetchReleasedNatsServer(folder: string): Promise<string> {
  const platform = `${process.platform}-${ARCHITECTURES[process.arch] ?? process.arch}`;
  const expected = SHA256[platform];
  if (expected === undefined) throw new Error(`no pinned release for ${platform}`);

  const name = `nats-server-v${VERSION}-${platform}`;
  const archive = await download(`${RELEASES}/v${VERSION}/${name}.tar.gz`);
  const actual = createHash("sha256").update(archive).digest("hex");
  if (actual !== expected) throw new Error(`${name}.tar.gz has SHA-256 ${actual}, expected ${expected}`);

  const file = path.join(folder, "release.tar.gz");
  await writeFile(file, archive);
  await run("tar", ["-xzf", file, "-C", folder]);
  return path.join(folder, name, "nats-server");
}

async function download(url: string): Promise<Buffer> {
  const abort = new AbortController();
  const unanswered = setTimeout(() => abort.abort(new Error("no answer")), CONNECT_TIMEOUT_MS);
  const tooSlow = setTimeout(() => abort.abort(new Error("too slow")), DOWNLOAD_TIMEOUT_MS);
  try {
    const response = await fetch(url, { signal: abort.signal });
    clearTimeout(unanswered);
    if (!response.ok) throw new Error(`the download answers ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  } catch (error) {
    const { message, cause } = error as Error;
    throw new Error(cause instanceof Error ? `${message}: ${cause.message}` : message, { cause: error });
  } finally {
    clearTimeout(unanswered);
    clearTimeout(tooSlow);
  }
}
