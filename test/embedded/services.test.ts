import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { isAlive, waitUntilGone } from "../../src/embedded/processes.ts";
import {
  type DevelopmentOptions,
  type OpenDevelopmentServices,
  openDevelopmentServices,
  readDevelopmentServices,
} from "../../src/embedded/services.ts";
import { temporaryFolder } from "./temporaryFolder.ts";

const log = { info() {}, warn() {} };
const { natsUrl, databaseUrl, natsBinary } = inject("servers");

describe("development services", () => {
  test("start nothing that is given by URL, and are published for other shells", async () => {
    const dir = await temporaryFolder();
    const services = await open({ dir, natsUrl, databaseUrl });

    expect(services.nats).toBeUndefined();
    expect(services.postgres).toBeUndefined();
    expect(await readDevelopmentServices(dir)).toEqual({
      natsUrl,
      databaseUrl,
      secretKey: services.secretKey,
      pid: process.pid,
    });
    expect(Buffer.from(services.secretKey, "base64")).toHaveLength(32);
    for (const file of ["services.json", "secret.key"]) {
      expect((await stat(path.join(dir, file))).mode & 0o777).toBe(0o600);
    }
  });

  test("keep their secret key, and are not found once they are closed", async () => {
    const dir = await temporaryFolder();
    const first = await open({ dir, natsUrl, databaseUrl });
    await Promise.all([first.close(), first.close()]);

    expect(await readDevelopmentServices(dir)).toBeUndefined();
    expect(await readdir(dir)).toEqual(["secret.key"]);
    expect((await open({ dir, natsUrl, databaseUrl })).secretKey).toBe(first.secretKey);
  });

  test("name the process that holds the folder", async () => {
    const dir = await temporaryFolder();
    await open({ dir, natsUrl, databaseUrl });

    await expect(open({ dir, natsUrl, databaseUrl })).rejects.toThrow(
      `the Egret folder ${dir} is in use by process ${process.pid}`,
    );
  });

  test("go down with a process that is killed with -9, and come up again in the same folder", async () => {
    const dir = await temporaryFolder();
    const first = await hold(dir);
    expect([isAlive(first.nats), isAlive(first.postgres)]).toEqual([true, true]);

    first.process.kill("SIGKILL");
    await once(first.process, "exit");
    expect(await readDevelopmentServices(dir)).toBeUndefined();

    // At once, while the guards of the first are still putting its servers down.
    const second = await hold(dir);
    expect(await waitUntilGone(first.nats, 10_000)).toBe(true);
    expect(await waitUntilGone(first.postgres, 10_000)).toBe(true);
    second.process.kill("SIGTERM");
    const [code] = (await once(second.process, "exit")) as [number];
    expect(code).toBe(0);
    expect([isAlive(second.nats), isAlive(second.postgres)]).toEqual([false, false]);
  });
});

async function open(options: Omit<DevelopmentOptions, "log">): Promise<OpenDevelopmentServices> {
  const services = await openDevelopmentServices({ ...options, log });
  onTestFinished(() => services.close());
  return services;
}

async function hold(dir: string): Promise<{ process: ChildProcess; nats: number; postgres: number }> {
  const holder = spawn(process.execPath, [path.join(import.meta.dirname, "holdServers.ts"), dir], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, PATH: `${path.dirname(natsBinary)}${path.delimiter}${process.env["PATH"]}` },
  });
  onTestFinished(() => void holder.kill("SIGKILL"));
  for await (const line of holder.stdout) return { process: holder, ...JSON.parse(String(line)) };
  throw new Error("the holder of the servers ended before it was ready");
}
