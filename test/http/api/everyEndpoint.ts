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
}

/** What the document has, so that no endpoint can be forgotten. */
export async function everyOperation(url: string): Promise<Operation[]> {
  const answer = await fetch(`${url}/api/v1/openapi.json`);
  // oxlint-disable-next-line no-explicit-any -- a document of many shapes
  const document = (await answer.json()) as any;
  return Object.entries<object>(document.paths).flatMap(([path, methods]) =>
    // oxlint-disable-next-line no-explicit-any -- a document of many shapes
    Object.entries<any>(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      token: operation["x-egret-token"],
      example: operation.requestBody?.content["application/json"].example,
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
const PARAMETERS: readonly [RegExp, string][] = [
  [/^\/sources\/\{id\}\/tables\/\{tid\}/, "tid"],
  [/^\/sources\/\{id\}\/models\/\{mid\}/, "mid"],
];

function idsOf(path: string, ids: Ids): Ids {
  const own = PARAMETERS.filter(([form]) => form.test(path)).map(([, name]) => [name, ids[name] ?? ""]);
  const kind = path.split("/")[1] ?? "";
  return { ...ids, id: ids[kind] ?? "", ...Object.fromEntries(own) };
}

/** Makes one of everything in the workspace of the scene's key, and a run of a sync that has ended. */
export async function makeEverything(
  { api, ids, make, receiver }: SyncScene,
  mark: string,
): Promise<Everything> {
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
  const tables = await tableOf(api, ids.warehouse);
  const tested = await api.post(`/syncs/${sync}/test`, {});
  const known: Ids = {
    sources: ids.warehouse,
    datasets: ids.people,
    destinations: ids.ops,
    syncs: sync,
    sync_runs: run,
    webhooks: webhook,
    replays: await made(`/webhooks/${webhook}/replays`, { since: "2020-01-01T00:00:00Z" }),
    api_keys: await made("/api_keys", { name: `${mark} key`, scopes: ["read"] }),
    source_connect_links: await made("/source_connect_links", { type: "postgres" }),
    destination_connect_links: await made("/destination_connect_links", { type: "webhook" }),
    sync_management_links: await made("/sync_management_links", {}),
    segment_management_links: await made("/segment_management_links", {}),
    // No alert was raised; an id that another workspace may have answers like one that nobody has.
    alerts: 1,
    tid: tables,
    mid: ids.people,
    full_name: "webhook",
    segment_id: 1,
    did: deliveries.body.data[0].id,
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
