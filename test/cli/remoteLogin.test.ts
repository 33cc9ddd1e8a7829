/** `egret login`: a server and its token, kept for commands that are told of no other. */
import { spawn } from "node:child_process";
import { readFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { type CliResult, runCli } from "../support/cli.ts";
import { objects, onlyObjectOf as onlyObject, openRemoteScene } from "./remoteScene.ts";

const PROGRAM = path.resolve(import.meta.dirname, "../../src/cli/egret.ts");

const { egret, api, home, local } = await openRemoteScene();

/** `egret login`, with the token sent by standard input. */
function login(input: string, args: readonly string[] = []): Promise<CliResult> {
  const env = { PATH: process.env["PATH"] ?? "", XDG_CONFIG_HOME: home };
  const child = spawn(process.execPath, [PROGRAM, "login", ...args], {
    env,
    stdio: ["pipe", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.end(input);
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
}

describe("egret login", () => {
  const file = () => path.join(home, "egret", "login.json");
  /** A shell that knows of nothing. */
  const bare = () => ({ XDG_CONFIG_HOME: home, EGRET_DIR: path.join(home, "none") });

  beforeEach(() => rm(path.join(home, "egret"), { recursive: true, force: true }));

  test("keeps server and token where only their owner reads them, and commands use them", async () => {
    const { code, stdout } = await login(`${api.token}\n`, [`${egret.url}/api/v1/`]);
    expect(code).toBe(0);
    expect(stdout).toBe(`Logged in to ${egret.url}, workspace demo; kept in ${file()}\n`);
    expect((await stat(file())).mode & 0o777).toBe(0o600);
    expect(JSON.parse(await readFile(file(), "utf8"))).toEqual({ url: egret.url, token: api.token });
    expect(await onlyObject(["whoami"], bare())).toMatchObject({ url: egret.url, workspace: "demo" });
    expect(objects(await runCli(["sync", "list", "--json"], bare())).map(({ name }) => name)).toEqual([
      "other",
      "people",
    ]);
  });

  test("keeps nothing that the server does not accept, and never prints the token", async () => {
    for (const [token, message] of [
      ["secret-token:wrong", "does not accept this token"],
      [api.personalToken, "does not let this token do it"],
      ["", "Token is missing"],
      ["with blanks", "has characters that no token has"],
    ] as const) {
      const { code, stdout, stderr } = await login(token, [egret.url]);
      expect(code).toBe(2);
      expect(stderr).toContain(message);
      if (token !== "") expect(stdout + stderr).not.toContain(token);
    }
    await expect(stat(file())).rejects.toThrow("ENOENT");
  });

  test("is forgotten by egret logout", async () => {
    await login(api.token, [egret.url]);
    expect((await runCli(["logout"], bare())).stdout).toContain("is gone");
    expect((await runCli(["logout"], bare())).stdout).toBe("There was no login.\n");
    const { code, stderr } = await runCli(["runs"], bare());
    expect(code).toBe(3);
    expect(stderr).toContain("egret login <url>");
  });

  test("does not take over from services that are set", async () => {
    await login(api.token, [egret.url]);
    const whoami = await onlyObject(["whoami"], local);
    expect(whoami).toEqual({ url: null, configured: true });
    expect((await onlyObject(["whoami", "--url", egret.url], local))["url"]).toBe(egret.url);
    expect((await onlyObject(["whoami"], { ...local, EGRET_URL: egret.url }))["url"]).toBe(egret.url);
  });

  test("its token goes to no other server", async () => {
    await login(api.token, [egret.url]);
    const { code, stderr } = await runCli(["runs", "--url", "http://127.0.0.1:9"], bare());
    expect(code).toBe(3);
    expect(stderr).toContain(
      "there is no token for http://127.0.0.1:9: run `egret login http://127.0.0.1:9`",
    );
  });

  test("a file that cannot be read is told, with what to do", async () => {
    await login(api.token, [egret.url]);
    await writeFile(file(), "{}");
    const { code, stderr } = await runCli(["runs"], bare());
    expect(code).toBe(2);
    expect(stderr).toContain("log in again");
  });

  test("an address with a token in it is refused, and not repeated", async () => {
    const { code, stderr } = await runCli(["runs", "--url", "https://bearer:hunter2@egret.example"], bare());
    expect(code).toBe(2);
    expect(stderr).toContain("must not hold a token");
    expect(stderr).not.toContain("hunter2");
  });
});
