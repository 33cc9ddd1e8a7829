/** Two workspaces that cannot see or touch each other, in any endpoint of the document. */
import { beforeAll, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { type Everything, everyOperation, makeEverything, type Operation } from "./everyEndpoint.ts";
import { openSyncScene, type SyncScene } from "./syncScene.ts";

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

describe("a key of another workspace", () => {
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

  test("cannot build on the objects of the others by naming them in a body", async () => {
    const { warehouse } = scene.ids;
    const model = { name: "mine", query: "select 1 as id" };
    const attempts: [string, unknown][] = [
      ["/syncs", scene.body()],
      ["/datasets", { ...model, type: "sql", source_id: warehouse }],
      [`/sources/${warehouse}/models`, model],
    ];
    for (const [path, body] of attempts) {
      const answer = await stranger.post(path, body);
      expect([path, answer.status >= 400 && answer.status < 500]).toEqual([path, true]);
      expect(JSON.stringify(answer.body)).not.toContain("warehouse");
    }
    expect((await stranger.get("/syncs")).body.data).toEqual([]);
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
