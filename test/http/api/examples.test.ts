/** The document keeps its word: each operation, sent as its example has it, is done, and answers in the form that is written there. */
import { z } from "@hono/zod-openapi";
import { beforeAll, expect, test } from "vitest";
import { askApi } from "../../support/api.ts";
import {
  documentOf,
  type Everything,
  everyOperation,
  makeEverything,
  type Operation,
} from "./everyEndpoint.ts";
import { openSyncScene, type SyncScene } from "./syncScene.ts";

let scene: SyncScene;
let everything: Everything;
let operations: Operation[];
// oxlint-disable-next-line no-explicit-any -- a document of many shapes
let document: any;

beforeAll(async () => {
  scene = await openSyncScene({ apiRequestsPerSecond: 0 });
  // What the examples name.
  await scene.warehouse(`create table orders (id int primary key, total numeric, closed_at timestamptz);
    create table trials (user_id int primary key, plan text, email text)`);
  everything = await makeEverything(scene, "tried");
  operations = await everyOperation(scene.egret.url);
  document = await documentOf(scene.egret.url);
}, 120_000);

/** What there is not, or may be over by then, and how that is answered. */
const REFUSED: Readonly<Record<string, number>> = {
  "POST /sync_runs/{id}/cancel": 409,
  "POST /replays/{id}/cancel": 409,
  "GET /entities/{id}/record": 404,
  "DELETE /sources/{id}/filter_segments/{segment_id}": 404,
  "POST /sources/{id}/filter_segments/{segment_id}/segment_management_links": 404,
};

/** Made by the examples before: these are what is then shown, changed and deleted. */
const made = new Map<string, number>();

function placeOf(path: string): string {
  if (path.startsWith("/workspaces/")) return path.replace("{id}", String(made.get("/workspaces")));
  const { collection } = /^(?<collection>.*)\/\{\w+\}$/.exec(path)?.groups ?? {};
  const id = made.get(collection ?? "");
  if (id === undefined || collection === undefined) return everything.fill(path);
  return `${collection.includes("{") ? everything.fill(collection) : collection}/${id}`;
}

/** The ids of an example are anybody's. */
async function bodyOf({ path, example }: Operation): Promise<unknown> {
  if (example === undefined) return undefined;
  const { warehouse, ops } = scene.ids;
  if (path === "/datasets") return { ...(example as object), source_id: warehouse };
  if (path !== "/syncs") return example;
  const query = "select user_id, plan, email from trials";
  const model = await scene.api.post(`/sources/${warehouse}/models`, { name: "Trials", query });
  return {
    ...(example as object),
    source_attributes: { connection_id: warehouse, object: { type: "model", id: model.body.data.id } },
    destination_attributes: { connection_id: ops, object: "webhook" },
  };
}

/** As the document has it, and nothing beside that. @throws where an answer has another form. */
function answerSchema({ method, path }: Operation, status: number) {
  const answer = document.paths[path][method.toLowerCase()].responses[status];
  const schema = answer?.content?.["application/json"]?.schema;
  if (schema === undefined) throw new Error(`the document has no answer ${status}`);
  return z.fromJSONSchema(closed({ ...schema, $defs: document.components.schemas }));
}

/** Objects whose properties are named have no others. */
// oxlint-disable-next-line no-explicit-any -- a document of many shapes
function closed(part: any): any {
  if (Array.isArray(part)) return part.map(closed);
  if (typeof part === "string") return part.replace("#/components/schemas/", "#/$defs/");
  if (typeof part !== "object" || part === null) return part;
  const same = Object.fromEntries(Object.entries(part).map(([key, value]) => [key, closed(value)]));
  return part.properties === undefined || part.additionalProperties !== undefined
    ? same
    : { ...same, additionalProperties: false };
}

const RANKS = ["POST", "GET", "PATCH", "DELETE"];

test("each example is done, and is answered in the form that the document gives", async () => {
  const wrong: string[] = [];
  const inOrder = operations.toSorted((a, b) => RANKS.indexOf(a.method) - RANKS.indexOf(b.method));
  for (const operation of inOrder) {
    const { method, path, token } = operation;
    const name = `${method} ${path}`;
    const answer = await askApi(
      scene.egret.url,
      scene.api[token === "personal" ? "personalToken" : "token"],
      {
        method,
        path: placeOf(path),
        body: await bodyOf(operation),
      },
    );
    const id = answer.body?.data?.id ?? answer.body?.data?.sync_id;
    if (method === "POST" && answer.status < 300) made.set(path, id);
    if (answer.status >= 300 && answer.status !== REFUSED[name])
      wrong.push(`${name}: ${answer.status} ${JSON.stringify(answer.body)}`);
    const read = answerSchema(operation, answer.status).safeParse(answer.body);
    if (!read.success) wrong.push(`${name}: ${z.prettifyError(read.error)}`);
  }
  expect(wrong).toEqual([]);
}, 120_000);
