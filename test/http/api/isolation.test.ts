/** Two workspaces that cannot see or touch each other, in any endpoint of the document. */
import { beforeAll, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { applyYaml } from "../../support/egret.ts";
import { type Everything, everyOperation, makeEverything, type Operation } from "./everyEndpoint.ts";
import { KEY, openSyncScene, type SyncScene } from "./syncScene.ts";

let scene: SyncScene;
let stranger: TestApi;
let everything: Everything;
let operations: Operation[];

beforeAll(async () => {
  scene = await openSyncScene({ apiRequestsPerSecond: 0 });
  stranger = await testApi(scene.egret, { workspaceName: "stranger" });
  operations = await everyOperation(scene.egret.url);
  everything = await makeEverything(scene, "hidden");
}, 120_000);

const hasParameter = ({ path }: Operation): boolean => path.includes("{");
const ofWorkspace = ({ token }: Operation): boolean => token === "workspace";

/** What the owner sees of everything, without what a look itself changes. */
async function seen(): Promise<Record<string, unknown>> {
  const looks: Record<string, unknown> = {};
  for (const operation of operations.filter(({ method }) => method === "GET").filter(ofWorkspace)) {
    // A delivery goes on by itself, and an export is a new address each time.
    if (/deliver|audit_log|records_export|api_keys|replays|refresh_/.test(operation.path)) continue;
    const { status, body } = await scene.api.get(everything.fill(operation.path));
    looks[operation.path] = { status, data: body.data };
  }
  return looks;
}

const isRefusal = (status: number): boolean => status === 400 || status === 404;

/** A sync of the stranger's own, and what it is made of. */
async function makeOwn() {
  const { egret, receiver, body } = scene;
  const applied = await applyYaml(
    egret,
    `
workspace: stranger
sources: { own: { type: postgres, url: "${egret.databaseUrl}" } }
models: { own: { source: own, query: "select 1 as id" } }
destinations: { own: { type: webhook, url: "${receiver.url}/own" } }
`,
  );
  const [source, model, destination] = await Promise.all(
    ["source", "model", "destination"].map((kind) => applied.id(kind, "own")),
  );
  const own = body({
    source_attributes: { connection_id: source, object: { type: "model", id: model } },
    destination_attributes: { connection_id: destination, object: "webhook" },
    mappings: [KEY],
  });
  const { data } = (await stranger.post("/syncs", own)).body;
  return { source, model, sync: data.sync_id, body: own };
}

describe("a key of another workspace", () => {
  test("is tried with ids behind which the owner finds something", async () => {
    const looks = operations
      .filter(({ method }) => method === "GET")
      .filter(hasParameter)
      .filter(ofWorkspace);
    for (const { path } of looks) {
      // Nothing was refreshed, and there are no entities.
      if (/_status$|^\/entities\//.test(path)) continue;
      const { status } = await scene.api.get(everything.fill(path));
      expect([path, status]).toEqual([path, 200]);
    }
  });

  test("finds nothing behind an id, whatever it asks for, and changes nothing", async () => {
    const before = await seen();
    const tried = operations.filter(hasParameter).filter(ofWorkspace);
    expect(tried.length).toBeGreaterThan(50);
    const answers: string[] = [];
    for (const { method, path, example } of tried) {
      const { status, body } = await stranger.request(method, everything.fill(path), example);
      const isHidden = status === 404 && body.status === 404 && body.message === "Not found";
      if (!isHidden) answers.push(`${method} ${path}: ${status} ${JSON.stringify(body)}`);
    }
    expect(answers).toEqual([]);
    expect(await seen()).toEqual(before);
  });

  test("has lists that say nothing of the others", async () => {
    const lists = operations.filter(({ method }) => method === "GET").filter(ofWorkspace);
    for (const { path } of lists.filter((operation) => !hasParameter(operation))) {
      const { status, body } = await stranger.get(path);
      expect([path, status]).toEqual([path, 200]);
      expect([path, JSON.stringify(body).includes(everything.mark)]).toEqual([path, false]);
      // What it would have seen, had it looked with the other's key.
      if (/^\/(syncs|webhooks|sources|destinations|datasets|models)$/.test(path))
        expect([path, body.pagination.total_records]).toEqual([path, 0]);
    }
    expect(JSON.stringify((await scene.api.get("/syncs")).body)).toContain(everything.mark);
  });

  test("cannot build on the objects of the others by naming them in a body, new or in a change", async () => {
    const { warehouse, people, ops } = scene.ids;
    const theirs = Number(everything.fill("/syncs/{id}").split("/").at(-1));
    const own = await makeOwn();
    const model = { name: "mine", query: "select 1 as id" };
    const source_attributes = { connection_id: warehouse, object: { type: "model", id: people } };
    const destination_attributes = { connection_id: ops, object: "webhook" };
    const mode = { type: "triggered", triggers: { sync_sequence: { sync_id: theirs } } };
    const attempts: [string, string, object][] = [
      ["POST", "/syncs", scene.body()],
      ["POST", "/datasets", { ...model, type: "sql", source_id: warehouse }],
      ["POST", `/sources/${warehouse}/models`, model],
      ["PATCH", `/datasets/${own.model}`, { source_id: warehouse }],
      ...[
        { source_attributes },
        { source_attributes: { ...source_attributes, connection_id: own.source } },
        { source_attributes: { connection_id: own.source, object: { type: "model", name: "people" } } },
        { destination_attributes },
        { mode },
      ].flatMap((change): [string, string, object][] => [
        ["POST", "/syncs", { ...own.body, ...change }],
        ["POST", "/syncs", { ...own.body, ...change, validate_only: true }],
        ["PATCH", `/syncs/${own.sync}`, change],
      ]),
    ];
    const before = (await stranger.get("/syncs")).body.data;
    for (const [method, path, body] of attempts) {
      const answer = await stranger.request(method, path, body);
      expect([method, path, body, answer.status]).toEqual([method, path, body, expect.toSatisfy(isRefusal)]);
      expect(JSON.stringify(answer.body)).not.toMatch(/warehouse|ops|select id/);
    }
    expect((await stranger.get("/syncs")).body.data).toEqual(before);
  });

  test("is for no endpoint of personal tokens, and they are for none of a workspace", async () => {
    for (const { method, path, example, token } of operations) {
      const isPersonal = token === "personal";
      const asked = path.replaceAll(/\{\w+\}/g, "1");
      const url = `${scene.egret.url}/api/v1${asked}`;
      const wrong = isPersonal ? stranger.token : stranger.personalToken;
      const answer = await fetch(url, {
        method,
        headers: { Authorization: `Bearer ${wrong}`, "Content-Type": "application/json" },
        ...(example === undefined ? {} : { body: JSON.stringify(example) }),
      });
      expect([method, path, answer.status]).toEqual([method, path, 403]);
    }
  });
});
