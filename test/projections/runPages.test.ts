/** A page of runs, and how many there are, are read without the runs of other workspaces. */
import { afterAll, expect, test } from "vitest";
import { openDatabase } from "../../src/projections/database.ts";
import { pageOfRuns } from "../../src/projections/runs.ts";
import { testDatabase } from "../support/namespace.ts";

const { url } = await testDatabase({ migrated: true });
const { db, pool, close } = openDatabase(url, { maxConnections: 2 });
afterAll(close);

test("a workspace with few runs among many is read by its index, page and count", async () => {
  await pool.query(`
    insert into egret_read.runs (id, workspace_id, sync_id, sync_name, command_id, status, state, version, trigger_tag,
                                 trigger_detail, full_sync, created_at, updated_at, run_kind)
    select n, case when n % 1000 = 0 then 2 else 1 end, n % 7, 's', 'c', 'completed', 'completed', 9, 'API', 'x', false,
           now(), now(), 'normal'
    from generate_series(1, 20000) n`);
  await pool.query("vacuum analyze egret_read.runs");
  const where = "from egret_read.runs where workspace_id = 2 and run_kind = 'normal'";
  const planOf = async (query: string): Promise<string> =>
    (await pool.query(`explain (costs off) ${query}`)).rows.map((row) => row["QUERY PLAN"]).join("\n");
  const page = await planOf(`select * ${where} order by id desc limit 25`);
  expect(page).toContain("using runs_workspace");
  expect(page).not.toContain("Sort");
  expect(await planOf(`select count(*) ${where}`)).toContain("Index Only Scan using runs_workspace");
  const cut = { limit: 3, offset: 1, order: "desc", afterId: null } as const;
  const found = await pageOfRuns(db, { workspaceId: 2, runKind: "normal" }, cut);
  expect([found.total, found.rows.map(({ id }) => id)]).toEqual([20, [19_000, 18_000, 17_000]]);
});
