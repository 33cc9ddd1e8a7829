import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { openLogger } from "../../src/logger.ts";
import { type RunningEgret, startEgret } from "../../src/main.ts";
import { ownInstallation, runCli } from "../support/cli.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const installation = await ownInstallation();
let dir: string;
let file: string;
let receiver: Receiver;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "egret-cli-"));
  file = path.join(dir, "egret.yaml");
  receiver = await startReceiver();
  const client = new Client({ connectionString: installation["EGRET_DATABASE_URL"] });
  await client.connect();
  await client.query(
    "create table public.people as select n as id, 'person ' || n as name from generate_series(1, 25) n",
  );
  await client.end();
  await writeFile(file, yaml({ label: "People" }));
});

afterAll(async () => {
  await receiver.close();
  await rm(dir, { recursive: true, force: true });
});

describe("egret apply and egret trigger", { concurrent: false }, () => {
  test("apply shows its plan, and where it cannot ask it ends with 2 and changes nothing", async () => {
    const { code, stdout, stderr } = await runCli(["apply", "-f", file], installation);
    expect(stdout).toContain("+ workspace people_ops\n+ source db\n");
    expect(stdout).toContain("Plan: 6 to create, 0 to change, 0 to delete, 0 unchanged.");
    expect(stderr).toContain("To apply the plan, add --yes.");
    expect(code).toBe(2);
    expect((await runCli(["apply", "-f", file, "--dry-run"], installation)).stdout).toContain("6 to create");
  });

  test("apply --yes makes it so, tests the destination, and shows new secrets and ids", async () => {
    const { code, stdout } = await runCli(["apply", "-f", file, "--yes"], installation);
    expect(code).toBe(0);
    expect(stdout).toMatch(/shown this once.*\n {2}watcher: whsec_[A-Za-z0-9+/]+=*\n/);
    expect(stdout).toMatch(/Ids: workspace = \d+; syncs: people = \d+; webhooks: watcher = \d+/);
    expect(stdout).toContain("destination hook answers");
    expect(receiver.requests).toHaveLength(1);
  });

  test("a destination that failed its connection test is warned of until it passes one", async () => {
    const client = new Client({ connectionString: installation["EGRET_DATABASE_URL"] });
    await client.connect();
    onTestFinished(() => client.end());
    await client.query("update egret.destinations set last_test_succeeded = false");
    const doctor = () => runCli(["doctor"], installation);
    expect((await doctor()).stdout).toContain("hook failed its last connection test");
    receiver.behave({ status: 404 });
    const failing = await runCli(["destination", "test", "hook"], installation);
    expect(failing.stdout).toMatch(/hook failed its connection test: .* HTTP 404; .* is expected\. Runs/);
    expect(failing.code).toBe(1);
    receiver.behave({});
    const passing = await runCli(["destination", "test", "hook"], installation);
    expect(passing).toMatchObject({ code: 0, stdout: expect.stringContaining("destination hook answers") });
    expect((await doctor()).stdout).not.toContain("connection test");
  });

  test("apply again changes nothing, and a change shows each field before and after", async () => {
    const again = await runCli(["apply", "-f", file, "--yes"], installation);
    expect(again.stdout).toContain("Nothing to do: 6 unchanged.");
    expect(again.stdout).not.toContain("whsec_");
    await writeFile(file, yaml({ label: "Humans" }));
    const changed = await runCli(["apply", "-f", file, "--yes", "--json"], installation);
    expect(JSON.parse(changed.stdout)).toMatchObject({
      applied: true,
      changes: [
        { action: "update", kind: "sync", fields: [{ field: "label", before: "People", after: "Humans" }] },
      ],
      webhook_secrets: [],
    });
  });

  test("trigger says that no worker is there, and ends with 4", async () => {
    const bare = await started(["scheduler"]);
    const { code, stderr } = await runCli(["trigger", "people", "--timeout", "1"], installation);
    expect(stderr).toMatch(
      /nothing took the command within 1 s: is `egret start` with the role `worker` running\?/,
    );
    expect(code).toBe(4);
    await bare.close();
  });

  test("trigger --watch ends with 0 after a run that went well, and an id never makes two runs", async () => {
    await started(["worker", "projector", "scheduler"]);
    // The command of the test before waits in the queue: its run comes first.
    await expect
      .poll(async () => (await runCli(["runs", "--json"], installation)).stdout, { timeout: 20_000 })
      .toContain('"status":"completed"');
    const wishes = ["--full", "--allow-deletes", "--allow-rejects"];
    const watched = await runCli(["trigger", "people", "--watch", ...wishes, "--id", "key-1"], installation);
    expect(watched.stderr).toBe("");
    expect(watched.code).toBe(0);
    expect(watched.stdout).toContain("25 rows to send in 3 batches");
    expect(watched.stdout).toMatch(/success in .*: 25 rows in the source; 25 sent, 25 accepted, 0 rejected/);
    const runId = /^run (\d+)$/m.exec(watched.stdout)?.[1];
    const again = await runCli(["trigger", "people", "--id", "key-1", "--json"], installation);
    expect(JSON.parse(again.stdout)).toMatchObject({ run_id: Number(runId), status: "triggered" });

    const audited = await runCli(["audit", String(runId)], installation);
    expect(audited.stdout).toContain("sync.planned");
    expect(audited.code).toBe(0);
    await expect
      .poll(async () => (await runCli(["run", String(runId)], installation)).stdout, { timeout: 20_000 })
      .toMatch(/batches \(3\)[\s\S]*attempt 1 {2}HTTP 200 accepted[\s\S]*lifecycle webhooks \(\d\)/);
    expect((await runCli(["run", String(runId)], installation)).stdout).toContain(
      "full sync asked for, deletes allowed, rejects allowed",
    );
    const since = ["--since", "1", "--limit", "1", "--json"];
    const tailed = await runCli(["tail", "sync:people", `run:${runId}`, "success", ...since], installation);
    expect(JSON.parse(tailed.stdout)).toMatchObject({ stream: "runs", type: "sync.success" });
    expect((await runCli(["projections", "rebuild"], installation)).stdout).toMatch(
      /rebuilt from \d+ events/,
    );
  });

  test("trigger --watch ends with 1 and the reason after a run that failed", async () => {
    await started(["worker", "projector", "scheduler"]);
    const client = new Client({ connectionString: installation["EGRET_DATABASE_URL"] });
    await client.connect();
    await client.query("alter table public.people rename column name to full_name");
    await client.query("update egret.destinations set last_test_succeeded = false");
    await client.end();
    const { code, stderr } = await runCli(["trigger", "people", "--watch"], installation);
    expect(code).toBe(1);
    const [warning = "", reason] = stderr.split("\n");
    expect(warning).toContain("destination hook failed its last connection test; test it again with: egret");
    expect(reason).toMatch(/^SOURCE_(COLUMN_MISSING|QUERY_FAILED): /);
    expect(stderr).toContain("name");
  });
});

async function started(roles: Parameters<typeof startEgret>[0]["roles"]): Promise<RunningEgret> {
  const egret = await startEgret({
    databaseUrl: installation["EGRET_DATABASE_URL"] ?? "",
    natsUrl: installation["EGRET_NATS_URL"] ?? "",
    secretKeys: [installation["EGRET_SECRET_KEY"] ?? ""],
    streamPrefix: installation["EGRET_STREAM_PREFIX"] ?? "",
    limits: { maxBytes: 64 * 1_048_576, deliveryRetentionDays: 30, replicas: 1 },
    roles,
    http: { host: "127.0.0.1", port: 0 },
    concurrency: 20,
    allowHttp: true,
    outboundAllow: [],
    logger: openLogger({ level: "silent", pretty: false }),
  });
  onTestFinished(() => egret.close());
  return egret;
}

function yaml({ label }: { label: string }): string {
  return `workspace: people_ops
sources:
  db: { type: postgres, url: "${installation["EGRET_DATABASE_URL"]}" }
models:
  everyone: { source: db, query: "select id, name from public.people" }
destinations:
  hook: { type: webhook, url: "${receiver.url}", batch_size: 10 }
syncs:
  people: { label: ${label}, model: everyone, destination: hook, key: id, mappings: [name] }
webhooks:
  watcher: { endpoint: "${receiver.url}/events", events: [sync.completed] }
`;
}
