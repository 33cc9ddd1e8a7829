import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { identify } from "../../src/embedded/processes.ts";
import { acquireLock } from "../../src/embedded/processLock.ts";
import { temporaryFolder } from "./temporaryFolder.ts";

describe("a process lock", () => {
  test("names the live holder", async () => {
    const file = path.join(await temporaryFolder(), "lock");
    await acquireLock(file, "the nest");

    await expect(acquireLock(file, "the nest")).rejects.toThrow(
      `the nest is in use by process ${process.pid}.`,
    );
  });

  test("is free again after its release", async () => {
    const file = path.join(await temporaryFolder(), "lock");
    await (await acquireLock(file, "the nest")).release();

    await (await acquireLock(file, "the nest")).release();
    expect(await readdir(path.dirname(file))).toEqual([]);
  });

  test("is taken over from a holder that died", async () => {
    const file = path.join(await temporaryFolder(), "lock");
    const holder = spawn("sleep", ["60"]);
    const owner = await identify(holder.pid ?? 0);
    await writeFile(file, JSON.stringify({ owner }));
    await expect(acquireLock(file, "the nest")).rejects.toThrow(`in use by process ${owner.pid}`);

    holder.kill("SIGKILL");
    await once(holder, "exit");
    await acquireLock(file, "the nest");
    expect(await readFile(file, "utf8")).toContain(`"pid":${process.pid}`);
  });

  test("is taken over from a holder whose pid another process has by now", async () => {
    const file = path.join(await temporaryFolder(), "lock");
    await writeFile(file, JSON.stringify({ owner: { pid: process.pid, startedAt: "another time" } }));

    await expect(acquireLock(file, "the nest")).resolves.toBeDefined();
  });

  test("is taken over when it cannot be read", async () => {
    const file = path.join(await temporaryFolder(), "lock");
    await writeFile(file, "{");

    await expect(acquireLock(file, "the nest")).resolves.toBeDefined();
  });

  test("waits for the server of a dead holder to be gone", async () => {
    const file = path.join(await temporaryFolder(), "lock");
    const server = spawn("sleep", ["60"]);
    onTestFinished(() => void server.kill("SIGKILL"));
    const owner = { pid: process.pid, startedAt: "another time" };
    await writeFile(file, JSON.stringify({ owner, server: await identify(server.pid ?? 0) }));

    const taking = acquireLock(file, "the nest");
    server.kill("SIGKILL");
    await expect(taking).resolves.toBeDefined();
    expect(server.signalCode).toBe("SIGKILL");
  });

  test("is taken over although a process died while it took it over", async () => {
    const file = path.join(await temporaryFolder(), "lock");
    const dead = JSON.stringify({ owner: { pid: process.pid, startedAt: "another time" } });
    await writeFile(file, dead);
    await writeFile(`${file}.takeover`, dead);

    await acquireLock(file, "the nest");
    expect(await readdir(path.dirname(file))).toEqual(["lock"]);
  });

  test("goes to exactly one of many that find it stale", async () => {
    const file = path.join(await temporaryFolder(), "lock");
    await writeFile(file, JSON.stringify({ owner: { pid: process.pid, startedAt: "another time" } }));

    const takers = await Promise.allSettled(Array.from({ length: 8 }, () => acquireLock(file, "the nest")));
    expect(takers.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });
});
