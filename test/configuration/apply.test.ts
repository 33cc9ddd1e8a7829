import { randomBytes } from "node:crypto";
import { sql } from "kysely";
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Applied, applyChanges } from "../../src/configuration/apply.ts";
import { type EgretFile, parseEgretFile } from "../../src/configuration/egretFile.ts";
import { hasChanges, type Plan, planChanges } from "../../src/configuration/plan.ts";
import type { DescribeObject } from "../../src/configuration/sourceChecks.ts";
import { findSync, findWorkspace, readDestination, readWebhook } from "../../src/configuration/store.ts";
import { InvalidInput, RunFailure, Unavailable, VersionConflict } from "../../src/domain/errors.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { openSecretBox } from "../../src/security/secretBox.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import { testDatabase } from "../support/namespace.ts";

const box = openSecretBox([randomBytes(32).toString("base64")]);
let database: OpenDatabase;
let url = "";

/** Columns as the test's own Postgres names them; what is no query is refused with words of its own. */
const describeColumns: DescribeObject = async (source, object) => {
  const from = object.type === "model" ? `(${object.query}) as q` : `"${object.schema}"."${object.table}"`;
  const client = new Client({ connectionString: source.url });
  try {
    await client.connect();
  } catch (error) {
    throw new Unavailable(`source ${source.name} does not answer; is its address right?`, { cause: error });
  }
  try {
    const { fields } = await client.query(`select * from ${from} limit 0`);
    const columns: { name: string; type: string }[] = [];
    for (const { name, dataTypeID, dataTypeModifier } of fields) {
      const typeOf = "select format_type($1, $2) as type";
      const { rows } = await client.query<{ type: string }>(typeOf, [dataTypeID, dataTypeModifier]);
      columns.push({ name, type: rows[0]!.type });
    }
    return columns;
  } catch (error) {
    throw new RunFailure(
      "SOURCE_QUERY_FAILED",
      "This is not one SELECT that the source can run.",
      "Try it there first.",
      {
        cause: error,
      },
    );
  } finally {
    await client.end();
  }
};

beforeAll(async () => {
  ({ url } = await testDatabase({ migrated: true }));
  database = openDatabase(url);
  await sql`create table public.airports (
    iata character varying(3), name text, city text, is_open boolean, lat double precision, unique_id text)`.execute(
    database.db,
  );
});
afterAll(() => database.close());
beforeEach(async () => {
  await sql`truncate egret.workspaces, egret.sources, egret.models, egret.destinations, egret.syncs, egret.webhooks,
    egret.outbox, egret.sync_states cascade`.execute(database.db);
});

const SYNC = "{ model: airports, destination: ops, key: iata, mappings: [name, { column: city, to: town }] }";

function text(parts: Record<string, string> = {}): string {
  const { query, batch, token, endpoint, syncs, model, sources } = parts;
  return `workspace: ${parts["workspace"] ?? "demo"}
sources:
  warehouse: { type: postgres, url: \${URL} }${sources ?? ""}
models:
  airports: { source: warehouse, query: "${query ?? "select iata, name, city, is_open, lat from airports"}" }${model ?? ""}
destinations:
  ops: { type: webhook, url: "https://ops.example/in?key=topsecret", batch_size: ${batch ?? "500"}, auth_token: "${token ?? "hunter2"}" }
syncs:
  a: ${parts["sync"] ?? SYNC}${syncs ?? ""}
webhooks:
  pager: { endpoint: "${endpoint ?? "https://pager.example/in"}", events: [sync.failed] }
`;
}

const read = (content: string): EgretFile =>
  parseEgretFile(content, "egret.yaml", { env: { URL: url }, allowHttp: false });
const plan = (content: string, describe: DescribeObject = describeColumns): Promise<Plan> =>
  planChanges({ db: database.db, box, file: read(content), describe });
const carryOut = (made: Plan): Promise<Applied> =>
  applyChanges({ db: database.db, box, plan: made, actor: "egret apply" });
const apply = async (content: string): Promise<Applied> => carryOut(await plan(content));

async function outbox() {
  return database.db.selectFrom("egret.outbox").selectAll().orderBy("id").execute();
}
/** `create sync a` for every change that is one. */
const told = ({ changes }: { changes: Applied["changes"] }): string[] =>
  changes
    .filter(({ action }) => action !== "unchanged")
    .map(({ action, kind, name }) => `${action} ${kind} ${name}`);

async function faults(content: string, describe = describeColumns): Promise<string[]> {
  const error: unknown = await plan(content, describe).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(InvalidInput);
  return (error as InvalidInput).problems.map((problem) => `${problem.field} | ${problem.message}`);
}

async function syncNamed(name: string) {
  const workspace = await findWorkspace(database.db, "demo");
  return findSync(database.db, box, { workspaceId: workspace!.id, nameOrId: name });
}

describe("a plan", () => {
  test("lists what it would create, and changes nothing", async () => {
    const made = await plan(text());
    expect(told(made)).toEqual([
      "create workspace demo",
      "create source warehouse",
      "create model airports",
      "create destination ops",
      "create sync a",
      "create webhook pager",
    ]);
    expect(hasChanges(made)).toBe(true);
    expect(await findWorkspace(database.db, "demo")).toBeNull();
  });

  test("shows each changed field, and of a secret only that it changed", async () => {
    await apply(text());
    const made = await plan(text({ batch: "100", token: "hunter3" }));
    expect(made.changes.filter(({ action }) => action !== "unchanged")).toEqual([
      {
        action: "update",
        kind: "destination",
        name: "ops",
        fields: [
          { field: "batch_size", secret: false, before: 500, after: 100 },
          { field: "auth_token", secret: true },
        ],
      },
    ]);
    expect(JSON.stringify(made.changes)).not.toMatch(/hunter|topsecret/);
  });

  test("refuses missing columns and says which was meant", async () => {
    const sync =
      "{ model: airports, destination: ops, key: iatta, mappings: [nmae, { column: zzz, to: z }] }";
    expect(await faults(text({ sync }))).toEqual([
      'syncs.a.key | egret.yaml:9:48: There is no column "iatta". Did you mean "iata"?',
      'syncs.a.mappings[0].column | egret.yaml:9:66: There is no column "nmae". Did you mean "name"?',
      'syncs.a.mappings[1].column | egret.yaml:9:82: There is no column "zzz". Known: iata, name, city, is_open, lat.',
    ]);
  });

  test.each([
    ["is_open", "a column of type boolean cannot be the key"],
    ["lat", "a column of type double precision cannot be the key"],
  ])("refuses %s as a key", async (key, message) => {
    const [fault] = await faults(text({ sync: `{ model: airports, destination: ops, key: ${key} }` }));
    expect(fault).toContain(`syncs.a.key | egret.yaml:9:48: "${key}": ${message}`);
  });

  test("refuses a model that the source cannot run, at the line of its query, once", async () => {
    expect(await faults(text({ query: "delete from airports" }))).toEqual([
      "models.airports.query | egret.yaml:5:41: This is not one SELECT that the source can run. Try it there first.",
    ]);
  });

  test("refuses a table that is not there", async () => {
    const sync = "{ table: public.runways, source: warehouse, destination: ops, key: id }";
    expect(await faults(text({ sync }))).toEqual([
      "syncs.a.table | egret.yaml:9:15: This is not one SELECT that the source can run. Try it there first.",
    ]);
  });

  test("tells of a silent source once, without its password", async () => {
    const sources = '\n  gone: { type: postgres, url: "postgres://u:hunter2@127.0.0.1:1/d" }';
    const model = "\n  b: { source: gone, query: select 1 }\n  c: { source: gone, query: select 1 }";
    expect(await faults(text({ sources, model }))).toEqual([
      "sources.gone.url | egret.yaml:4:32: source gone does not answer; is its address right?",
    ]);
  });

  test("puts what the Postgres source itself refuses at its line", async () => {
    const { describeObject } = postgresSource;
    const ask = (content: string) => faults(content, describeObject);
    expect(hasChanges(await plan(text(), describeObject))).toBe(true);
    for (const query of ["delete from airports", "select 1 as iata; select 2", "select iata from nowhere"]) {
      expect(await ask(text({ query }))).toEqual([
        expect.stringContaining("models.airports.query | egret.yaml:5:41: "),
      ]);
    }
    const sync = "{ table: public.runways, source: warehouse, destination: ops, key: id }";
    expect(await ask(text({ sync }))).toEqual([expect.stringContaining("syncs.a.table | egret.yaml:9:15: ")]);
    const sources = '\n  gone: { type: postgres, url: "postgres://u:hunter2@127.0.0.1:1/d" }';
    const model = "\n  b: { source: gone, query: select 1 }";
    const silent = await ask(text({ sources, model }));
    expect(silent).toEqual([expect.stringContaining("sources.gone.url | egret.yaml:4:32: ")]);
    expect(silent.join("")).not.toContain("hunter2");
  });

  test("sends every column when a sync names none, the key as unique_id", async () => {
    await apply(text({ sync: "{ model: airports, destination: ops, key: iata }" }));
    expect((await syncNamed("a"))!.mappings).toEqual([
      { column: "iata", to: "unique_id", key: true },
      ...["name", "city", "is_open", "lat"].map((column) => ({ column, to: column })),
    ]);
  });

  test("refuses to send every column when two would share a field or a name", async () => {
    const table = "{ table: public.airports, source: warehouse, destination: ops, key: iata }";
    expect((await faults(text({ sync: table })))[0]).toContain(
      'The column "unique_id" cannot travel under its name',
    );
    const query = "select iata, name, name from airports";
    const sync = "{ model: airports, destination: ops, key: iata }";
    expect((await faults(text({ query, sync })))[0]).toContain('More than one column is named "name"');
  });
});

describe("applying a plan", () => {
  test("makes it true, and a second apply finds nothing to do", async () => {
    const { webhookSecrets } = await apply(text());
    expect(webhookSecrets).toEqual([{ name: "pager", secret: expect.stringMatching(/^whsec_/) }]);
    expect(await syncNamed("a")).toMatchObject({
      name: "a",
      label: null,
      operation: "upsert",
      object: { type: "model", name: "airports" },
      source: { name: "warehouse", url },
      destination: { name: "ops", settings: { batch_size: 500 }, secrets: { auth_token: "hunter2" } },
      mappings: [
        { column: "iata", to: "unique_id", key: true },
        { column: "name", to: "name" },
        { column: "city", to: "town" },
      ],
    });
    const again = await plan(text());
    expect(hasChanges(again)).toBe(false);
    const before = await outbox();
    expect(await carryOut(again)).toMatchObject({ webhookSecrets: [] });
    expect(await outbox()).toEqual(before);
  });

  test("stores no secret in the clear and leaves none in the outbox", async () => {
    const { webhookSecrets } = await apply(text());
    const { rows } = await sql<{ all: string }>`
      select (select string_agg(s::text, '') from egret.sources s) || (select string_agg(d::text, '') from egret.destinations d)
        || (select string_agg(w::text, '') from egret.webhooks w) as all`.execute(database.db);
    expect(rows[0]!.all).not.toContain("hunter2");
    expect(rows[0]!.all).not.toContain(webhookSecrets[0]!.secret);
    const told = JSON.stringify(await outbox());
    expect(told).not.toMatch(/hunter2|topsecret|whsec_/);
    expect(told).not.toContain(new URL(url).password || "postgres://");
  });

  test("writes one outbox row per change, with version, actor and settings", async () => {
    await apply(text());
    await apply(text({ batch: "100", endpoint: "https://other.example/in" }));
    const rows = (await outbox()).map((row) => `${row.change} ${row.kind} ${row.version}`);
    expect(rows).toEqual([
      "created workspace 1",
      "created source 1",
      "created model 1",
      "created destination 1",
      "created sync 1",
      "created webhook 1",
      "updated destination 2",
      "updated webhook 2",
    ]);
    const workspace = await findWorkspace(database.db, "demo");
    expect((await outbox())[6]!.data).toEqual({
      workspace_id: workspace!.id,
      kind: "destination",
      object_id: expect.any(Number),
      name: "ops",
      actor: "egret apply",
      settings: expect.objectContaining({
        type: "webhook",
        url: "https://ops.example/in?key=***",
        batch_size: 100,
        secrets_set: ["auth_token"],
      }),
    });
  });

  test("keeps the secret of a webhook whose endpoint changes", async () => {
    const { webhookSecrets } = await apply(text());
    const { webhookSecrets: later } = await apply(text({ endpoint: "https://other.example/in" }));
    expect(later).toEqual([]);
    const { id } = await database.db.selectFrom("egret.webhooks").select("id").executeTakeFirstOrThrow();
    expect(await readWebhook(database.db, box, id)).toMatchObject({
      endpoint: "https://other.example/in",
      secret: webhookSecrets[0]!.secret,
    });
  });

  test("removes a secret that left the file", async () => {
    await apply(text());
    const made = await plan(text().replace(', auth_token: "hunter2"', ""));
    expect(made.changes.find(({ kind }) => kind === "destination")?.fields).toEqual([
      { field: "auth_token", secret: true },
    ]);
    await carryOut(made);
    const { id } = await database.db.selectFrom("egret.destinations").select("id").executeTakeFirstOrThrow();
    expect((await readDestination(database.db, box, id))?.secrets).toEqual({});
  });

  test("deletes what is not in the file any more, syncs first, and a sync's state with it", async () => {
    await apply(text());
    const { id } = (await syncNamed("a"))!;
    await sql`create table ${sql.id("egret_state", `rows_${id}`)} (key text)`.execute(database.db);
    await database.db
      .insertInto("egret.sync_states")
      .values({ sync_id: id, active_run_id: null, fingerprint: "f" })
      .execute();
    const applied = await apply("workspace: demo\n");
    expect(told(applied)).toEqual([
      "delete webhook pager",
      "delete sync a",
      "delete destination ops",
      "delete model airports",
      "delete source warehouse",
    ]);
    const { rows } =
      await sql`select 1 from pg_tables where schemaname = 'egret_state' and tablename = ${`rows_${id}`}`.execute(
        database.db,
      );
    expect(rows).toEqual([]);
    expect(await database.db.selectFrom("egret.sync_states").selectAll().execute()).toEqual([]);
    expect((await outbox()).slice(-5).map((row) => `${row.change} ${row.kind} ${row.version}`)).toEqual([
      "deleted webhook 2",
      "deleted sync 2",
      "deleted destination 2",
      "deleted model 2",
      "deleted source 2",
    ]);
  });

  test("I12: applies nothing at all while a sync that goes away has a run", async () => {
    await apply(text());
    const { id } = (await syncNamed("a"))!;
    await database.db
      .insertInto("egret.sync_states")
      .values({ sync_id: id, active_run_id: 7011, fingerprint: null })
      .execute();
    const before = await outbox();
    const error: unknown = await apply(text({ batch: "7" }).replace(/ {2}a: .*\n/, "")).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(InvalidInput);
    expect((error as InvalidInput).message).toBe("sync a cannot be deleted now; nothing was applied");
    expect((error as InvalidInput).problems[0]!.message).toContain(
      "run 7011 of this sync is under way; wait until",
    );
    expect(await outbox()).toEqual(before);
    expect((await syncNamed("a"))!.destination.settings.batch_size).toBe(500);
  });

  test("treats a new name as another object", async () => {
    await apply(text());
    const { id } = (await syncNamed("a"))!;
    const renamed = text().replace("  a: {", "  b: {");
    expect(told(await apply(renamed))).toEqual(["create sync b", "delete sync a"]);
    expect((await syncNamed("b"))!.id).not.toBe(id);
  });

  test("lets a sync change what it reads and where it writes while the old ones go", async () => {
    await apply(text());
    const moved = text()
      .replaceAll("airports:", "fields:")
      .replace("model: airports", "model: fields")
      .replaceAll("ops", "hook");
    expect(told(await apply(moved))).toEqual([
      "create model fields",
      "create destination hook",
      "update sync a",
      "delete destination ops",
      "delete model airports",
    ]);
    expect(await syncNamed("a")).toMatchObject({ object: { name: "fields" }, destination: { name: "hook" } });
  });

  test("leaves other workspaces alone", async () => {
    await apply(text());
    await apply(text({ workspace: "other" }));
    await apply("workspace: other\n");
    expect(await syncNamed("a")).not.toBeNull();
  });

  test("refuses a plan that was overtaken, and of two at once carries out one", async () => {
    const [one, two] = [await plan(text({ batch: "1" })), await plan(text({ batch: "2" }))];
    const results = await Promise.allSettled([carryOut(one), carryOut(two)]);
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const refused = results.find((result) => result.status === "rejected");
    expect(refused?.reason).toBeInstanceOf(VersionConflict);
    expect(String(refused?.reason)).toContain("plan again");
    expect(await outbox()).toHaveLength(6);
  });
});
