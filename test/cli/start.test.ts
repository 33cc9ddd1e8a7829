import { describe, expect, test } from "vitest";
import { ownInstallation, startCli } from "../support/cli.ts";

const installation = await ownInstallation();

describe("egret start", () => {
  test("logs JSON lines, answers health checks, and drains on SIGTERM", async () => {
    const running = startCli(["start"], installation);
    const lines = (await running.waitFor(/"egret\.started"/)).trim().split("\n");
    const started = lines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .find(({ msg }) => msg === "egret.started");
    expect(started).toMatchObject({ level: "info", roles: ["api", "worker", "projector", "scheduler"] });
    const ready = await fetch(`${String(started?.["address"])}/readyz`);
    expect(ready.status).toBe(200);

    running.child.kill("SIGTERM");
    const { code, stdout, stderr } = await running.ended;
    expect(code).toBe(0);
    expect(stderr).toBe("");
    expect(stdout).toContain('"egret.stopped"');
    expect(stdout).not.toContain(installation["EGRET_SECRET_KEY"]);
  });

  test("runs only the roles that it is asked for", async () => {
    const running = startCli(["start", "--roles", "worker,scheduler"], installation);
    const text = await running.waitFor(/"egret\.started"/);
    expect(text).toMatch(/"roles":\["worker","scheduler"\],"address":"http:\/\/127\.0\.0\.1:\d+"/);
    running.child.kill("SIGINT");
    expect((await running.ended).code).toBe(0);
  });
});

describe("egret listen", () => {
  test("prints a line for each request and fails the first ones when asked", async () => {
    const running = startCli(["listen", "--fail-first", "1", "--status", "202"]);
    const text = await running.waitFor(/listening on http:\/\/\S+/);
    const url = /http:\/\/[\d.:]+/.exec(text)?.[0] ?? "";
    const answers = [];
    for (let request = 1; request <= 2; request += 1) {
      answers.push((await fetch(url, { method: "POST", body: '{"event":"sync.failed"}' })).status);
    }
    expect(answers).toEqual([500, 202]);
    await running.waitFor(/POST \/ {2}sync\.failed {2}answered 202 {2}signature absent/);
    running.child.kill("SIGINT");
    expect((await running.ended).code).toBe(0);
  });
});
