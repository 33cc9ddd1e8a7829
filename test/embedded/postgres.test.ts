import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { Client } from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { type EmbeddedPostgres, startPostgres } from "../../src/embedded/postgres.ts";
import { temporaryFolder } from "./temporaryFolder.ts";

const log = { info() {}, warn() {} };

describe("an embedded Postgres", () => {
  test("runs under a closed folder, as root too, and leaves its files to the caller", async () => {
    const folder = await temporaryFolder();
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    const postgres = await start(path.join(folder, "postgres"));

    expect(await query(postgres, "select current_setting('server_encoding') as encoding")).toEqual([
      { encoding: "UTF8" },
    ]);
    expect((await stat(postgres.dataDir)).uid).toBe(process.getuid?.());
  });

  test("keeps committed rows over a crash, on the same port", async () => {
    const postgres = await start(path.join(await temporaryFolder(), "postgres"));
    await query(postgres, "create table kept (n int)");
    await query(postgres, "insert into kept values (1)");
    await query(postgres, "checkpoint");
    const { port } = postgres;

    await postgres.kill9();
    await postgres.restart();

    expect(postgres.port).toBe(port);
    expect(await query(postgres, "select n from kept")).toEqual([{ n: 1 }]);
  });

  test("refuses a folder in which a server lives, and takes it once that one has stopped", async () => {
    const dataDir = path.join(await temporaryFolder(), "postgres");
    const first = await start(dataDir);

    await expect(startPostgres({ dataDir, log, fast: true })).rejects.toThrow(
      `the Postgres folder ${first.dataDir} is in use by process ${process.pid}`,
    );
    await first.stop();
    await start(dataDir);
  });

  test("recovers a pid file whose pid another program has by now", async () => {
    const dataDir = path.join(await temporaryFolder(), "postgres");
    const first = await start(dataDir);
    const left = await readFile(path.join(first.dataDir, "postmaster.pid"), "utf8");
    await first.stop();
    await writeFile(path.join(first.dataDir, "postmaster.pid"), left.replace(/^\d+/, String(process.pid)));

    const second = await start(dataDir);
    expect(await query(second, "select 1 as n")).toEqual([{ n: 1 }]);
  });

  test("leaves nothing half-made where it could not make a cluster", async () => {
    const folder = await temporaryFolder();
    const dataDir = path.join(folder, "postgres");
    await mkdir(dataDir);
    await writeFile(path.join(dataDir, "someone-elses"), "");
    await chmod(dataDir, 0o700);

    await expect(startPostgres({ dataDir, log, fast: true })).rejects.toThrow(/initdb|not empty|ENOTEMPTY/);
    expect(await readdir(folder)).toEqual(["postgres"]);
  });

  test("lets nobody in without the password", async () => {
    const postgres = await start(path.join(await temporaryFolder(), "postgres"));
    const url = new URL(postgres.url());
    url.password = "wrong";

    const client = new Client({ connectionString: url.href });
    await expect(client.connect()).rejects.toThrow("password authentication failed");
  });
});

async function start(dataDir: string): Promise<EmbeddedPostgres> {
  const postgres = await startPostgres({ dataDir, log, fast: true });
  onTestFinished(() => postgres.stop());
  return postgres;
}

async function query(postgres: EmbeddedPostgres, statement: string): Promise<unknown[]> {
  const client = new Client({ connectionString: postgres.url() });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}
