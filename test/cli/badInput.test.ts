import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { ownInstallation, runCli } from "../support/cli.ts";

const installation = await ownInstallation();

describe("egret", () => {
  test("names every setting that cannot be used, and its fix, and ends with 2", async () => {
    const { code, stderr } = await runCli(["runs"], {
      EGRET_HTTP_PORT: "x",
      EGRET_NATS_URL: "http://hunter2@h",
    });
    expect(code).toBe(2);
    expect(stderr).toContain("EGRET_HTTP_PORT must be a whole number from 0 to 65535");
    expect(stderr).toContain("EGRET_NATS_URL must be an address such as nats://localhost:4222");
    expect(stderr).not.toContain("hunter2");
  });

  test("says both ways to go on when nothing is configured and nothing runs, and ends with 3", async () => {
    const { code, stderr } = await runCli(["runs", "--dir", await folder()]);
    expect(code).toBe(3);
    expect(stderr).toContain("EGRET_DATABASE_URL is not set, and no development server runs in");
    expect(stderr).toContain("start one in another shell:  egret start");
    expect(stderr).toContain("or set EGRET_DATABASE_URL, EGRET_NATS_URL and EGRET_SECRET_KEY");
  });

  test("names a sync that is unknown, with the nearest one, and ends with 2", async () => {
    const file = path.join(await folder(), "egret.yaml");
    await writeFile(file, "workspace: empty\n");
    expect((await runCli(["apply", "-f", file, "--yes"], installation)).code).toBe(0);
    const { code, stderr } = await runCli(["trigger", "airports"], installation);
    expect(code).toBe(2);
    expect(stderr).toBe('egret: there is no sync "airports" in workspace empty. It has no syncs.\n');
  });

  test.each([
    ["an id that is no run id", ["audit", "x"], '"x" is no run id: a run id is a whole number'],
    ["a key that cannot stand in a subject", ["trigger", "s", "--id", "a.b"], "choose another --id"],
    ["a filter that is none", ["tail", "faild"], '"faild" is no filter. Did you mean "failed"?'],
    ["an unknown role", ["start", "--roles", "api,wrker"], 'there is no role "wrker"; known: api, worker'],
    [
      "a file that is not there",
      ["apply", "-f", "no.yaml"],
      "no.yaml does not exist; name the file with --file",
    ],
    [
      "a secret that is not set",
      ["listen", "--secret", "env:NOPE"],
      "the environment variable NOPE is not set",
    ],
  ])("refuses %s with 2", async (_what, args, message) => {
    const { code, stdout, stderr } = await runCli(args, installation);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });

  test("places each fault of a file by line and field, and applies nothing", async () => {
    const file = path.join(await folder(), "egret.yaml");
    await writeFile(
      file,
      "workspace: w\nsyncs:\n  a:\n    model: gone\n    destination: gone\n    key: id\n    operation: mirrror\n",
    );
    const { code, stderr } = await runCli(["apply", "-f", file, "--yes"], installation);
    expect(code).toBe(2);
    expect(stderr).toContain(`${file} has`);
    expect(stderr).toContain("nothing was applied");
    expect(stderr).toContain(`${file}:7:16: syncs.a.operation:`);
  });

  test("says that a file is no YAML", async () => {
    const file = path.join(await folder(), "egret.yaml");
    await writeFile(file, "workspace: [unclosed\n");
    const { code, stderr } = await runCli(["apply", "-f", file], installation);
    expect(code).toBe(2);
    expect(stderr).toContain("not valid YAML");
    expect(stderr).toMatch(/egret\.yaml:\d+:\d+: /);
  });
});

describe("egret start", () => {
  test("ends with 1 and one message when Postgres is down", async () => {
    const url = `postgres://egret:hunter2@127.0.0.1:${await closedPort()}/egret`;
    const { code, stderr } = await runCli(["start"], { ...installation, EGRET_DATABASE_URL: url });
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^egret: Egret's Postgres does not answer \(.*ECONNREFUSED.*\): check EGRET_DATABASE_URL\n$/,
    );
  });

  test("ends with 1 and one message when NATS is down", async () => {
    const url = `nats://127.0.0.1:${await closedPort()}`;
    const { code, stderr } = await runCli(["start"], { ...installation, EGRET_NATS_URL: url });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^egret: no NATS server answers at 127\.0\.0\.1:\d+: .*\n$/);
  });
});

describe("egret doctor", () => {
  test("finds nothing to fix in a sound installation but what is not there yet, and a problem in a broken one", async () => {
    const broken = { ...installation, EGRET_NATS_URL: `nats://127.0.0.1:${await closedPort()}` };
    const { code, stdout } = await runCli(["doctor", "--json"], broken);
    expect(code).toBe(1);
    const { healthy, findings } = JSON.parse(stdout) as {
      healthy: boolean;
      findings: { name: string; state: string; fix: string | null }[];
    };
    expect(healthy).toBe(false);
    const states = Object.fromEntries(findings.map(({ name, state }) => [name, state]));
    expect(states).toMatchObject({
      Node: "ok",
      Postgres: "ok",
      schema: "ok",
      "secret key": "ok",
      NATS: "problem",
    });
    expect(findings.find(({ name }) => name === "NATS")?.fix).toContain(
      "start a nats-server 2.12 or newer with -js",
    );
  });
});

async function folder(): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), "egret-cli-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A port on which nothing listens any more. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
