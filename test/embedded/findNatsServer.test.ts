import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { findNatsServer, type NatsServerFetcher } from "../../src/embedded/findNatsServer.ts";
import { temporaryFolder } from "./temporaryFolder.ts";

const log = { info() {}, warn() {} };
const nothing: readonly NatsServerFetcher[] = [];

describe("finding nats-server", () => {
  test("takes the one on the PATH when it is new enough", async () => {
    const folder = await temporaryFolder();
    const file = await fakeServer(path.join(folder, "path"), "2.12.0");
    await fakeServer(path.join(folder, "bin"), "2.14.0");

    const found = await findNatsServer({
      dir: folder,
      log,
      searchPath: path.dirname(file),
      fetchers: nothing,
    });
    expect(found).toEqual({ path: file, version: "2.12.0" });
  });

  test("passes over one that is too old for the copy of an earlier run", async () => {
    const folder = await temporaryFolder();
    const old = await fakeServer(path.join(folder, "path"), "2.9.10");
    const kept = await fakeServer(path.join(folder, "bin"), "2.14.0");

    const found = await findNatsServer({
      dir: folder,
      log,
      searchPath: path.dirname(old),
      fetchers: nothing,
    });
    expect(found.path).toBe(kept);
  });

  test("fetches one, checks it, and keeps it for the next run", async () => {
    const folder = await temporaryFolder();
    const fetchers = [fetcherOf("2.15.1")];

    const found = await findNatsServer({ dir: folder, log, searchPath: "", fetchers });
    expect(found).toEqual({ path: path.join(folder, "bin", "nats-server"), version: "2.15.1" });
    expect(await findNatsServer({ dir: folder, log, searchPath: "", fetchers: nothing })).toEqual(found);
    expect(await readdir(path.join(folder, "bin"))).toEqual(["nats-server"]);
  });

  test("goes on to the next way when one brings a server that is too old", async () => {
    const folder = await temporaryFolder();
    const fetchers = [fetcherOf("2.9.10"), fetcherOf("2.12.3")];

    const found = await findNatsServer({ dir: folder, log, searchPath: "", fetchers });
    expect(found.version).toBe("2.12.3");
  });

  test("survives two first runs at once", async () => {
    const folder = await temporaryFolder();
    const fetchers = [fetcherOf("2.15.1")];
    const options = { dir: folder, log, searchPath: "", fetchers };

    const found = await Promise.all([findNatsServer(options), findNatsServer(options)]);
    expect(found.map(({ version }) => version)).toEqual(["2.15.1", "2.15.1"]);
  });

  test("says everything that was tried, names the version too old, and what to type", async () => {
    const folder = await temporaryFolder();
    const old = await fakeServer(path.join(folder, "path"), "2.9.10");
    const broken: NatsServerFetcher = {
      name: "carrier pigeon",
      fetch: () => Promise.reject(new Error("it is raining")),
    };

    const failure = findNatsServer({ dir: folder, log, searchPath: path.dirname(old), fetchers: [broken] });
    await expect(failure).rejects.toThrow(`${old} is 2.9.10, too old`);
    await expect(failure).rejects.toThrow("carrier pigeon: it is raining");
    for (const advice of ["apt-get install", "brew install", "docker run", "EGRET_NATS_URL="]) {
      await expect(failure).rejects.toThrow(advice);
    }
  });
});

/** A script that answers --version as nats-server does. */
async function fakeServer(folder: string, version: string): Promise<string> {
  const file = path.join(folder, "nats-server");
  await mkdir(folder, { recursive: true });
  await writeFile(file, `#!/bin/sh\necho "nats-server: v${version}"\n`);
  await chmod(file, 0o755);
  return file;
}

function fetcherOf(version: string): NatsServerFetcher {
  return { name: `fake ${version}`, fetch: (folder) => fakeServer(folder, version) };
}
