import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { ApiError, type Client, createClient, each } from "egret/client";
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from "vitest";
import { OPERATIONS } from "../../src/client/operations.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { applyYaml, type TestEgret, testEgret } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const root = path.resolve(import.meta.dirname, "../..");
const run = promisify(execFile);

const warehouse = await testDatabase();
const egret: TestEgret = await testEgret();
let receiver: Receiver;
let api: TestApi;
let client: Client;

beforeAll(async () => {
  receiver = await startReceiver();
  await applyYaml(
    egret,
    `
workspace: demo
sources: { warehouse: { type: postgres, url: "${warehouse.url}" } }
models: { numbers: { source: warehouse, query: "select n::text as id, n from generate_series(1, 12) as n" } }
destinations: { hook: { type: webhook, url: "${receiver.url}/hook", batch_size: 5 } }
syncs: { numbers: { model: numbers, destination: hook, key: id } }
`,
  );
  api = await testApi(egret);
  client = createClient({ url: egret.url, token: api.token });
});
afterAll(() => receiver.close());

describe("egret/client against a server", () => {
  test("starts a run and reads it to its end", async () => {
    const { data: syncs } = await client.listSyncs();
    const [sync] = syncs;
    expect(sync).toMatchObject({ resource_identifier: "numbers" });
    const { data } = await client.triggerSync({ path: { id: sync!.id } });
    expectTypeOf(data.sync_run_id).toEqualTypeOf<number>();
    const read = async () => (await client.getSyncRun({ path: { id: data.sync_run_id } })).data;
    await expect.poll(async () => (await read()).status, { timeout: 30_000 }).toBe("completed");
    expect(await read()).toMatchObject({ records_updated: 12, sync_id: sync!.id });
    const keys: (string | null)[] = [];
    const path = { id: data.sync_run_id };
    for await (const { identifier } of each(client.listSyncRunRecords, { path, query: { per_page: 5 } }))
      keys.push(identifier);
    expect(keys).toHaveLength(12);
    expect(new Set(keys).size).toBe(12);
  });

  test("a POST that is repeated under its key is done once", async () => {
    const body = { name: "twice", endpoint: `${receiver.url}/twice` };
    const key = { idempotencyKey: "make-twice" };
    const first = await client.createWebhook({ body }, key);
    const again = await client.call("createWebhook", { body }, key);
    expect(again.body).toEqual(first);
    expect(again.headers.get("Idempotency-Replayed")).toBe("true");
    const names: string[] = [];
    for await (const { name } of each(client.listWebhooks)) names.push(name);
    expect(names.filter((name) => name === "twice")).toHaveLength(1);
  });

  test("a change under an ETag that is not the last one is refused", async () => {
    const { data } = await client.createWebhook({ body: { name: "etag", endpoint: `${receiver.url}/etag` } });
    const path = { id: data.id };
    const { etag } = await client.call("getWebhook", { path });
    await client.updateWebhook({ path, body: { description: "mine" } }, { ifMatch: etag ?? "" });
    const late = client.updateWebhook({ path, body: { description: "yours" } }, { ifMatch: etag ?? "" });
    await expect(late).rejects.toMatchObject({ name: "ApiError", status: 412 });
    expect((await client.getWebhook({ path })).data.description).toBe("mine");
  });

  test("a refusal names its fields", async () => {
    const error = await client
      .createWebhook({ body: { name: "bad", endpoint: "ftp://example.org" } })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 400, errors: [{ field: "endpoint" }], server: egret.url });
    await expect(createClient({ url: egret.url, token: "x" }).listSyncs()).rejects.toMatchObject({
      status: 401,
    });
  });

  test("a personal token is for workspaces", async () => {
    const person = createClient({ url: egret.url, token: api.personalToken });
    expect((await person.listWorkspaces()).data.map(({ name }) => name)).toContain("demo");
    await expect(person.listSyncs()).rejects.toMatchObject({ status: 403 });
  });

  test("has a method for every operation of the server's document", async () => {
    const { body } = await api.get("/openapi.json");
    const paths = Object.entries(body.paths as Record<string, Record<string, { operationId: string }>>);
    const there = paths.flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => [operationId, [method.toUpperCase(), path]]),
    );
    expect(Object.fromEntries(there)).toEqual(OPERATIONS);
    for (const name of Object.keys(OPERATIONS)) expect(client).toHaveProperty(name);
  });
});

describe("the package", () => {
  test("gives its client to a project that has it below node_modules, where Node strips no types", async () => {
    const project = await mkdtemp(path.join(tmpdir(), "egret-client-"));
    try {
      const home = path.join(project, "node_modules/egret");
      await mkdir(path.join(home, "src"), { recursive: true });
      await cp(path.join(root, "package.json"), path.join(home, "package.json"));
      await cp(path.join(root, "src/client"), path.join(home, "src/client"), { recursive: true });
      await writeFile(
        path.join(project, "main.mjs"),
        `import { createClient } from "egret/client";
const client = createClient({ url: process.env.URL_, token: process.env.TOKEN_ });
console.log((await client.getOwnWorkspace()).data.name);`,
      );
      const env = { ...process.env, URL_: egret.url, TOKEN_: api.token };
      const { stdout } = await run(process.execPath, ["main.mjs"], { cwd: project, env });
      expect(stdout).toBe("demo\n");
      await expect(
        run(process.execPath, ["-e", "import('egret/src/main.ts')"], { cwd: project }),
      ).rejects.toThrow("ERR_PACKAGE_PATH_NOT_EXPORTED");
    } finally {
      await rm(project, { recursive: true });
    }
  });
});
