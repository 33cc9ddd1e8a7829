import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import {
  type AppliedYaml,
  applyYaml,
  type TestEgret,
  testEgret,
  triggerAndWait,
} from "../../support/egret.ts";
import { testDatabase } from "../../support/namespace.ts";
import { type ReceivedRequest, type Receiver, startReceiver } from "../../support/receiver.ts";

const warehouse = await testDatabase();
const egret: TestEgret = await testEgret({ apiRequestsPerSecond: 0 });
const { db, pool } = egret.services.database;
let source: Client;
let receiver: Receiver;
let applied: AppliedYaml;
let api: TestApi;
let stranger: TestApi;

beforeAll(async () => {
  source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query("create table people (id text, name text, exact json default '1.10')");
  receiver = await startReceiver();
  applied = await applyYaml(
    egret,
    `
workspace: demo
sources: { warehouse: { type: postgres, url: "${warehouse.url}" } }
destinations:
  hook: { type: webhook, url: "${receiver.url}/hook", batch_size: 5, rate_limit_per_second: null }
syncs:
  to_hook: { table: public.people, source: warehouse, destination: hook, key: id }
  broken: { table: public.people, source: warehouse, destination: hook, key: id }
`,
  );
  api = await testApi(egret, { workspaceName: "demo" });
  stranger = await testApi(egret, { workspaceName: "other" });
});
afterAll(async () => {
  await source.end();
  await receiver.close();
});
beforeEach(async () => {
  receiver.behave({});
  await source.query("truncate people");
});

let fills = 0;
async function fill(rows: number): Promise<void> {
  fills += 1;
  await source.query(`insert into people select n, 'name ${fills}/' || n from generate_series(1, ${rows}) n`);
}
const idsOf = ({ body }: ReceivedRequest): string[] =>
  (JSON.parse(body.toString()) as { data: { unique_id: string }[] }).data.map(({ unique_id: id }) => id);

/** A run of 20 rows, of which 7 was refused; beside them one row without a key and two that share one. */
async function mixedRun(): Promise<number> {
  await fill(20);
  await source.query("insert into people values (null, 'x'), ('1', 'again')");
  receiver.behave((request) => (idsOf(request).includes("7") ? { status: 422, body: "no such mail" } : {}));
  const { runId } = await triggerAndWait(egret, { sync: "to_hook" });
  await ended(runId);
  return runId;
}

async function ended(runId: number): Promise<void> {
  const statusOf = async () =>
    (await db.selectFrom("egret_read.runs").select("status").where("id", "=", runId).executeTakeFirst())
      ?.status;
  await expect.poll(statusOf, { timeout: 20_000 }).toMatch(/completed|failed/);
}

const countOf = async (path: string): Promise<number> =>
  (await api.get(path)).body.data[0].record_count as number;

describe("GET /sync_runs/{id}/records", () => {
  test("gives each row of a run with what became of it, and no digit of a number is lost", async () => {
    const runId = await mixedRun();
    const { status, body } = await api.get(`/sync_runs/${runId}/records?status=rejected`);
    expect(status).toBe(200);
    expect(body.status).toBe("success");
    expect(body.data).toEqual([
      {
        identifier: "7",
        record_payload: { unique_id: "7", name: `name ${fills}/7`, exact: 1.1 },
        operation: "upsert",
        status: "rejected",
        status_message: "HTTP 422: no such mail",
        batch_started_at: expect.toSatisfy((at) => at === null || /^\d{4}-.*\.\d{3}Z$/.test(String(at))),
        batch_completed_at: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
        sync_configuration_id: await applied.id("sync", "to_hook"),
        sync_run_id: runId,
        rows: 1,
        cursor: expect.stringMatching(/^b\d+\.\d+$/),
      },
    ]);
    expect(body.pagination).toMatchObject({ total_records: 1, page: 1, next_page: null, last_page: 1 });
    const raw = await fetch(`${egret.url}/api/v1/sync_runs/${runId}/records?status=rejected`, {
      headers: { Authorization: `Bearer ${api.token}` },
    });
    expect(raw.headers.get("Content-Type")).toMatch(/^application\/json/);
    expect(await raw.text()).toContain('"exact":1.10');

    const of = async (query: string) =>
      (await api.get(`/sync_runs/${runId}/records?${query}`)).body.data.map(
        ({ identifier, status: state }: { identifier: string | null; status: string }) => [identifier, state],
      );
    expect(await of("status=invalid")).toEqual([
      [null, "NULL"],
      ["1", "DUPLICATE"],
    ]);
    expect(await of("primary_identifier=20")).toEqual([["20", "succeeded"]]);
    expect(await of("operation=delete")).toEqual([]);
    expect((await of("status=succeeded&operation=upsert")).length).toBe(18);
    expect(await countOf(`/sync_runs/${runId}/records_count`)).toBe(21);
    expect(await countOf(`/sync_runs/${runId}/records_count?status=rejected`)).toBe(1);
    expect(await countOf(`/sync_runs/${runId}/records_count?primary_identifier=20`)).toBe(1);
  });

  test("pages by number and by cursor, and each row comes once", async () => {
    const runId = await mixedRun();
    const base = `/sync_runs/${runId}/records`;
    const byPage: string[] = [];
    for (let page: number | null = 1; page !== null; ) {
      const { body } = await api.get(`${base}?per_page=4&page=${page}`);
      byPage.push(...body.data.map(({ cursor }: { cursor: string }) => cursor));
      expect(body.pagination.last_page).toBe(6);
      page = body.pagination.next_page;
    }
    const byCursor: string[] = [];
    for (let next: string | null = `${egret.url}/api/v1${base}?per_page=4`; next !== null; ) {
      const { body } = await api.get(next.slice(`${egret.url}/api/v1`.length));
      byCursor.push(...body.data.map(({ cursor }: { cursor: string }) => cursor));
      const cursor = body.pagination.next_cursor as string | null;
      next = cursor === null ? null : `${egret.url}/api/v1${base}?per_page=4&cursor=${cursor}`;
    }
    expect(new Set(byPage).size).toBe(21);
    expect(byCursor).toEqual(byPage);
  });

  test("refuses what is no filter, and knows no run of another workspace", async () => {
    const runId = await mixedRun();
    const { status, body } = await api.get(`/sync_runs/${runId}/records?status=lost`);
    expect([status, body.errors[0].field]).toEqual([400, "status"]);
    expect((await api.get(`/sync_runs/${runId}/records?cursor=x`)).status).toBe(400);
    for (const path of ["records", "records_count", "records_export"]) {
      for (const place of [`/sync_runs/999999/${path}`, `/sync_runs/x/${path}`]) {
        expect(await api.get(place)).toMatchObject({
          status: 404,
          body: { status: 404, message: "Not found" },
        });
      }
      expect(await stranger.get(`/sync_runs/${runId}/${path}`)).toMatchObject({ status: 404 });
    }
  });

  test("answers 410 once retention has taken the rows; their number stays known", async () => {
    const runId = await mixedRun();
    await pool.query(
      "update egret.batches set body = null, keys = null, row_errors = null where run_id = $1",
      [runId],
    );
    await pool.query("update egret.plans set records_dropped_at = now() where run_id = $1", [runId]);
    expect(await api.get(`/sync_runs/${runId}/records`)).toMatchObject({
      status: 410,
      body: { status: "error", code: 410, message: expect.stringContaining("not kept") },
    });
    expect((await api.get(`/sync_runs/${runId}/records_count?primary_identifier=7`)).status).toBe(410);
    expect(await countOf(`/sync_runs/${runId}/records_count`)).toBe(21);
    const { status, body } = await api.get(`/sync_runs/${runId}/records_export`);
    expect([status, body.message]).toEqual([400, expect.stringContaining("not kept")]);
  });

  test("is empty for a run that failed before it had a plan, whose export is refused with the reason", async () => {
    await fill(1);
    await source.query("alter table people rename to persons");
    const { runId } = await triggerAndWait(egret, { sync: "broken" });
    await source.query("alter table persons rename to people");
    await ended(runId);
    expect(await api.get(`/sync_runs/${runId}/records`)).toMatchObject({ status: 200, body: { data: [] } });
    expect(await countOf(`/sync_runs/${runId}/records_count`)).toBe(0);
    const { status, body } = await api.get(`/sync_runs/${runId}/records_export`);
    expect([status, body.message]).toEqual([400, expect.stringContaining("nothing to export")]);
  });
});

describe("GET /sync_runs/{id}/records_export", () => {
  test("gives an address that streams the rows without a token", async () => {
    const runId = await mixedRun();
    const { status, body } = await api.get(`/sync_runs/${runId}/records_export`);
    expect(status).toBe(200);
    expect(body).toEqual({
      status: "success",
      urls: [expect.stringMatching(new RegExp(`^${egret.url}/exports/[\\w.-]{100,}$`))],
      expires_at: expect.stringMatching(/Z$/),
    });
    const file = await fetch(body.urls[0]);
    expect(file.status).toBe(200);
    expect(file.headers.get("Content-Type")).toBe("application/x-ndjson");
    expect(file.headers.get("Cache-Control")).toBe("no-store");
    expect(file.headers.get("Content-Disposition")).toContain(`run-${runId}-records.ndjson`);
    const text = await file.text();
    const lines = text.trimEnd().split("\n");
    expect(lines).toHaveLength(21);
    expect(lines.map((line) => JSON.parse(line).sync_run_id)).toEqual(lines.map(() => runId));
    expect(text).toContain('"exact":1.10');

    const filtered = await api.get(`/sync_runs/${runId}/records_export?status=rejected&format=csv`);
    const csv = await fetch(filtered.body.urls[0]);
    expect(csv.headers.get("Content-Type")).toBe("text/csv; charset=utf-8");
    expect((await csv.text()).split("\r\n")).toEqual([
      expect.stringMatching(/^identifier,record_payload,/),
      expect.stringMatching(/^7,/),
      "",
    ]);
  });

  test("can be of one key, whatever is in it", async () => {
    const keys = ["u/1?&=+", "ключ 🦆", `${"k".repeat(999)}"`];
    await source.query("insert into people select unnest($1::text[]), 'name'", [keys]);
    const { runId } = await triggerAndWait(egret, { sync: "to_hook" });
    await ended(runId);
    for (const key of keys) {
      const query = new URLSearchParams({ primary_identifier: key }).toString();
      const { body } = await api.get(`/sync_runs/${runId}/records_export?${query}`);
      const file = await fetch(body.urls[0]);
      const lines = (await file.text()).trimEnd().split("\n");
      expect(lines.map((line) => JSON.parse(line).identifier)).toEqual([key]);
    }
    const none = await api.get(`/sync_runs/${runId}/records_export?primary_identifier=nobody&format=csv`);
    expect((await (await fetch(none.body.urls[0])).text()).split("\r\n")).toHaveLength(2);
    const long = await api.get(`/sync_runs/${runId}/records_export?primary_identifier=${"k".repeat(1_001)}`);
    expect([long.status, long.body.errors[0].field]).toEqual([400, "primary_identifier"]);
  });

  test("its address ends with time, with the rows, and with any change of a letter", async () => {
    const runId = await mixedRun();
    const { body } = await api.get(`/sync_runs/${runId}/records_export`);
    const url = body.urls[0] as string;
    const at = url.length - 10;
    const changed = `${url.slice(0, at)}${url[at] === "A" ? "B" : "A"}${url.slice(at + 1)}`;
    for (const wrong of [changed, url.slice(0, -1), `${egret.url}/exports/${api.token}`]) {
      expect((await fetch(wrong)).status).toBe(404);
    }
    const sealed = egret.services.box.seal("some other purpose", "{}");
    expect((await fetch(`${egret.url}/exports/${sealed}`)).status).toBe(404);
    await pool.query("update egret.plans set records_dropped_at = now() where run_id = $1", [runId]);
    expect((await fetch(url)).status).toBe(410);
  });

  test("answers 425 while the run works", async () => {
    await fill(3);
    const isHeld = Promise.withResolvers<void>();
    receiver.behave(async () => {
      await isHeld.promise;
      return {};
    });
    const { runId } = await triggerAndWait(egret, { sync: "to_hook" }, { until: ["sync.planned"] });
    const early = () => api.get(`/sync_runs/${runId}/records_export`);
    expect(await early()).toMatchObject({ status: 425, body: { status: "error", code: 425 } });
    expect((await api.get(`/sync_runs/${runId}/records`)).status).toBe(200);
    isHeld.resolve();
    await ended(runId);
    expect((await early()).status).toBe(200);
  });
});
