/** Every endpoint of the OpenAPI document as a request, with ids of a workspace that has one of everything. */
import { expect, vi } from "vitest";
import type { TestApi } from "../../support/api.ts";
import { endOf, KEY, type SyncScene } from "./syncScene.ts";

/** One operation of the document. */
export interface Operation {
  method: string;
  /** As in the document, such as `/sources/{id}`. */
  path: string;
  token: "workspace" | "personal";
  example: unknown;
  /** Of its body. */
  schema: Schema | undefined;
}

/** What a part of a body may be, as far as these tests look at it. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  anyOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  items?: Schema;
  enum?: unknown[];
  minimum?: number;
}

/** The document itself. */
// oxlint-disable-next-line no-explicit-any -- a document of many shapes
export async function documentOf(url: string): Promise<any> {
  return (await fetch(`${url}/api/v1/openapi.json`)).json();
}

/** What the document has, so that no endpoint can be forgotten. */
export async function everyOperation(url: string): Promise<Operation[]> {
  const document = await documentOf(url);
  return Object.entries<object>(document.paths).flatMap(([path, methods]) =>
    // oxlint-disable-next-line no-explicit-any -- a document of many shapes
    Object.entries<any>(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      token: operation["x-egret-token"],
      example: operation.requestBody?.content["application/json"].example,
      schema: operation.requestBody?.content["application/json"].schema,
    })),
  );
}

/** One of everything, by the beginning of the path that names it. */
export interface Everything {
  /** Values of the parameters of a path. @throws for one that nobody said how to fill. */
  fill(path: string): string;
  /** Stands in the name of whatever has one. */
  mark: string;
}

type Ids = Readonly<Record<string, number | string>>;

/** Which id a parameter is, by what stands before it. */
function idsOf(path: string, ids: Ids): Ids {
  const kind = path.split("/")[1] ?? "";
  const did = kind === "destinations" ? (ids["batch"] ?? "") : (ids["did"] ?? "");
  return { ...ids, id: ids[kind] ?? "", did };
}

/** Makes one of everything in the workspace of the scene's key: a run that has ended well, and an alert of one that failed. */
export async function makeEverything(scene: SyncScene, mark: string): Promise<Everything> {
  const { api, ids, make, receiver } = scene;
  const made = async (path: string, body?: unknown): Promise<number> => {
    const answer = await api.post(path, body);
    expect([path, answer.status]).toEqual([path, 201]);
    return answer.body.data.id;
  };
  const webhook = await made("/webhooks", { name: `${mark} pager`, endpoint: `${receiver.url}/hook` });
  const sync = await make({
    label: `${mark} sync`,
    mappings: [KEY, { from: { type: "column", data: "email" }, to: `${mark}_email` }],
  });
  const triggered = await api.post(`/syncs/${sync}/trigger`);
  const run = triggered.body.data.sync_run_id;
  await endOf(api, run, 60_000);
  await vi.waitUntil(async () => (await api.get(`/webhooks/${webhook}/deliveries`)).body.data.length > 0, {
    timeout: 30_000,
    interval: 50,
  });
  const deliveries = await api.get(`/webhooks/${webhook}/deliveries`);
  const batches = await api.get(`/destinations/${ids.ops}/deliveries`);
  const tables = await tableOf(api, ids.warehouse);
  const tested = await api.post(`/syncs/${sync}/test`, {});
  const back = { redirect_uri: `https://${mark}.example.org/` };
  const known: Ids = {
    sources: ids.warehouse,
    datasets: ids.people,
    destinations: ids.ops,
    syncs: sync,
    sync_runs: run,
    webhooks: webhook,
    replays: await made(`/webhooks/${webhook}/replays`, { since: "2020-01-01T00:00:00Z" }),
    api_keys: await made("/api_keys", { name: `${mark} key`, scopes: ["read"] }),
    source_connect_links: await made("/source_connect_links", { type: "postgres", ...back }),
    destination_connect_links: await made("/destination_connect_links", { type: "webhook", ...back }),
    sync_management_links: await made("/sync_management_links", back),
    segment_management_links: await made("/segment_management_links", back),
    alerts: await alertOf(scene, mark),
    tid: tables,
    mid: ids.people,
    full_name: "webhook",
    segment_id: 1,
    entities: 1,
    did: deliveries.body.data[0].id,
    batch: batches.body.data[0].id,
    test_run_id: Object.values<number>(tested.body.data)[0] ?? 0,
  };
  return {
    mark,
    fill(path) {
      const own = idsOf(path, known);
      return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
        const value = own[name] ?? "";
        if (value === "") throw new Error(`nobody said which object ${path} is tried with`);
        return String(value);
      });
    },
  };
}

async function tableOf(api: TestApi, sourceId: number): Promise<number> {
  const { body } = await api.get(`/sources/${sourceId}/objects`);
  return body.data.find(({ type }: { type: string }) => type === "table").id;
}

/** Raised by a sync whose table went away. */
async function alertOf({ api, ids, make, warehouse }: SyncScene, mark: string): Promise<number> {
  await warehouse("create table brief (id int primary key)");
  const model = { name: `${mark} model`, query: "select id from brief" };
  const { body } = await api.post(`/sources/${ids.warehouse}/models`, model);
  const sync = await make({
    label: `${mark} failing`,
    source_attributes: { connection_id: ids.warehouse, object: { type: "model", id: body.data.id } },
    mappings: [KEY],
  });
  await warehouse("drop table brief");
  await api.post(`/syncs/${sync}/trigger`);
  const alerts = () => api.get(`/alerts?sync_id=${sync}`);
  await vi.waitUntil(async () => (await alerts()).body.data.length > 0, { timeout: 60_000, interval: 50 });
  return (await alerts()).body.data[0].id;
}
