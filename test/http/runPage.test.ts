/** The page of a run, where the link of an alert leads. */
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { testApi } from "../support/api.ts";
import { applyYaml, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { startReceiver } from "../support/receiver.ts";

const warehouse = await testDatabase();
/** The source of the sync, whose table is away at first. */
async function inSource(statement: string): Promise<void> {
  const source = new Client({ connectionString: warehouse.url });
  await source.connect();
  await source.query(statement);
  await source.end();
}
await inSource("create table people (id int primary key, name text)");
const receiver = await startReceiver();
afterAll(() => receiver.close());
const egret = await testEgret({ apiRequestsPerSecond: 0 });
const applied = await applyYaml(
  egret,
  `
workspace: demo
sources: { warehouse: { type: postgres, url: "${warehouse.url}" } }
destinations: { hook: { type: webhook, url: "${receiver.url}/rows", batch_size: 1000, rate_limit_per_second: null } }
webhooks: { pager: { endpoint: "${receiver.url}/pager", events: [sync.alert.raised] } }
syncs:
  people: { table: public.people, source: warehouse, destination: hook, key: id }
`,
);
const api = await testApi(egret);
let link = "";
let failedRun = 0;

/** As a browser asks whose user entered a token. */
async function visit(address: string, token: string | null = api.token) {
  const basic = Buffer.from(`bearer:${token}`).toString("base64");
  const answer = await fetch(address, token === null ? {} : { headers: { Authorization: `Basic ${basic}` } });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

beforeAll(async () => {
  await inSource("alter table people rename to hidden");
  failedRun = (await triggerAndWait(egret, { sync: "people" })).runId;
  const told = () => receiver.requests.find(({ body }) => body.includes("sync.alert.raised"));
  await vi.waitUntil(() => told() !== undefined, { timeout: 30_000 });
  link = (JSON.parse(told()!.body.toString()) as { followup_url: string }).followup_url;
});

describe("the link of an alert", () => {
  test("leads a signed-in browser to the run that raised it, and why it failed", async () => {
    const { status, headers, text } = await visit(link);
    expect(status).toBe(200);
    expect(headers.get("Content-Type")).toMatch(/^text\/html/);
    expect(headers.get("Content-Security-Policy")).toContain("frame-ancestors 'none'");
    expect(headers.get("Cache-Control")).toBe("no-store");
    const { data: run } = (await api.get(`/sync_runs/${failedRun}`)).body;
    expect(text).toContain(`<h1>Run ${failedRun} of people</h1>`);
    expect(text).toContain("<strong>Failed</strong>");
    const escaped = run.error_message.replaceAll('"', "&quot;").replaceAll("'", "&#39;");
    expect(text).toContain(`<p>${escaped}</p>`);
  });

  test("asks everybody else to sign in, with nothing of the run", async () => {
    for (const token of [null, "secret-token:wrong"]) {
      const { status, headers, text } = await visit(link, token);
      expect(status).toBe(401);
      expect(headers.get("WWW-Authenticate")).toBe('Basic realm="Egret", charset="UTF-8"');
      expect(text).toContain("<h1>Sign in</h1>");
      expect(text).not.toContain("people");
    }
    // Of the installation: it reads no workspace.
    expect((await visit(link, api.personalToken)).status).toBe(401);
  });

  test("shows nobody the runs of another workspace, nor one under another sync's address", async () => {
    const other = await testApi(egret, { workspaceName: "elsewhere" });
    const syncId = await applied.id("sync", "people");
    for (const page of [
      await visit(link, other.token),
      await visit(link.replace(`/syncs/${syncId}/`, `/syncs/${syncId + 1}/`)),
      await visit(link.replace(/\d+$/, "999999")),
    ]) {
      expect(page.status).toBe(404);
      expect(page.text).toContain("There is no such run");
      expect(page.text).not.toContain("people");
    }
  });
});

test("The page of a run that completed has its figures and why it was a full sync", async () => {
  await inSource(`alter table hidden rename to people;
    insert into people select n, 'name ' || n from generate_series(1, 1200) n`);
  const { runId } = await triggerAndWait(egret, { sync: "people" });
  const { status, text } = await visit(link.replace(/\d+$/, String(runId)));
  expect(status).toBe(200);
  expect(text).toContain("<strong>Completed</strong>");
  expect(text).toContain("<dt>Accepted</dt><dd>1,200</dd>");
  expect(text).toContain("<dt>Full sync</dt><dd>It has not run before.</dd>");
});
