import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import { checkObject, createObject, deleteObject, type EntryOf } from "../../src/configuration/objectDesk.ts";
import { readDestination, readSource, readSync } from "../../src/configuration/store.ts";
import { InvalidInput, NotFound, RunFailure } from "../../src/domain/errors.ts";
import {
  asked,
  box,
  by,
  change,
  db,
  desk,
  makeAll,
  makeDestination,
  makeModel,
  makeSource,
  makeSync,
  objectScene,
  outbox,
  problemsOf,
  row,
  SYNC,
  sourceUrl,
} from "../support/objectScene.ts";

objectScene();

describe("a new object", () => {
  test("is written with what a file would have written, and announced without its secrets", async () => {
    const { source, destination, sync } = await makeAll();
    expect(await readSource(db(), box, source.id)).toMatchObject({ name: "Warehouse", url: sourceUrl() });
    expect(await readDestination(db(), box, destination.id)).toMatchObject({
      secrets: { auth_token: "hunter2" },
      settings: { batch_size: 1, wrap_data: true },
    });
    expect(await readSync(db(), box, sync.id)).toMatchObject({
      name: "orders_to_ops",
      label: "Orders to ops",
      operation: "upsert",
      mappings: [
        { column: "id", to: "unique_id", key: true },
        { column: "city", to: "city" },
        { column: "total", to: "sum" },
      ],
    });
    const events = await outbox();
    expect(events.map(({ kind, change: what, version }) => `${what} ${kind} ${version}`)).toEqual([
      "created source 1",
      "created model 1",
      "created destination 1",
      "created sync 1",
    ]);
    expect(events[2]!.data).toMatchObject({
      actor: "API token ci",
      settings: { label: "Ops", managed_by: "api", secrets_set: ["auth_token"] },
    });
    expect(JSON.stringify(events)).not.toContain("hunter2");
  });

  test("gets a short name from its label, of its own", async () => {
    const names = [];
    for (const label of ["Große Häuser, 2. Teil", "42", "  ", "x", "x", "日本"]) {
      if (label.trim() === "") continue;
      names.push((await makeSource(label)).name);
    }
    expect(names).toEqual(["grosse_hauser_2_teil", "source_42", "x", "x_2", "source"]);
  });

  test("has its label kept as it was written", async () => {
    const { id } = await makeSource("  Große Häuser ");
    expect(await row("sources", id)).toMatchObject({ label: "Große Häuser", managed_by: "api" });
  });

  test("may be a source that nobody answers at, and is not asked", async () => {
    const away = "postgres://u:p@127.0.0.1:1/none";
    const { id } = await createObject(desk(), {
      ...by(),
      kind: "source",
      label: "Away",
      entry: { type: "postgres", url: away },
    });
    expect(id).toBeGreaterThan(0);
    expect(asked.for).toEqual([]);
    const query = "select 1 as id";
    const model = createObject(desk(), {
      ...by(),
      kind: "model",
      label: "m",
      entry: { source: "Away", query },
    });
    const problems = await problemsOf(model);
    expect(Object.keys(problems)).toEqual(["source"]);
    expect(problems["source"]).toContain("Source Away could not be reached");
  });

  test("shows a webhook's secret once", async () => {
    const made = await createObject(desk(), {
      ...by(),
      kind: "webhook",
      label: "Pager",
      entry: { endpoint: "https://pager.example/in" },
    });
    expect(made).toMatchObject({ name: "Pager", webhookSecret: expect.stringMatching(/^whsec_/) });
  });

  test("asks its source about nothing but itself", async () => {
    await makeSource();
    await makeModel("select id from orders", "First");
    asked.for = [];
    await makeModel("select id, city from orders", "Second");
    expect(asked.for).toEqual(["select id, city from orders"]);
  });

  test("keeps the columns of a model, and what clients want kept", async () => {
    await makeSource();
    const { id } = await createObject(desk(), {
      ...by(),
      kind: "model",
      label: "Orders",
      entry: { source: "Warehouse", query: "select id, city from orders" },
      attributes: { description: "all of them" },
    });
    expect(await row("models", id)).toMatchObject({
      columns: [
        { name: "id", type: "bigint" },
        { name: "city", type: "text" },
      ],
      attributes: { description: "all of them" },
    });
    await change("model", id, { attributes: { owner: "ops" } });
    expect(await row("models", id)).toMatchObject({
      attributes: { description: "all of them", owner: "ops" },
      version: 2,
    });
  });
});

describe("a refused object", () => {
  test("is told with every fault, by the fields of its entry, and nothing is written", async () => {
    await makeAll();
    const before = (await outbox()).length;
    const entry = {
      ...SYNC,
      key: "nokey",
      mappings: [
        { column: "cty", to: "city" },
        { column: "total", to: "city2" },
      ],
    };
    const problems = await problemsOf(makeSync(entry));
    expect(Object.keys(problems).toSorted()).toEqual(["key", "mappings[0].column"]);
    expect(problems["mappings[0].column"]).toContain('Did you mean "city"?');
    expect(await outbox()).toHaveLength(before);
    expect(await db().selectFrom("egret.syncs").selectAll().execute()).toHaveLength(1);
  });

  test.each([
    ["an unknown field", { ...SYNC, colour: "red" }, "colour"],
    ["a value of the wrong kind", { ...SYNC, paused: "yes" }, "paused"],
    ["an operation that its destination cannot", { ...SYNC, operation: "update" }, "operation"],
    ["a schedule that cannot be", { ...SYNC, schedule: { frequency: "weekly" } }, "schedule"],
    ["a model that is not there", { ...SYNC, model: "Ordres" }, "model"],
    [
      "a field filled twice",
      { ...SYNC, mappings: ["city", { column: "total", to: "city" }] },
      "mappings[1].to",
    ],
  ])("names %s", async (_, entry, field) => {
    await makeAll();
    expect(Object.keys(await problemsOf(makeSync(entry as EntryOf["sync"])))).toEqual([field]);
  });

  test("does not have its secrets quoted", async () => {
    const entry = { type: "webhook", url: "https://ops.example/in", headers: "hunter2", method: "hunter3" };
    const error: unknown = await makeDestination(entry).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidInput);
    expect(JSON.stringify((error as InvalidInput).problems) + (error as Error).message).not.toContain(
      "hunter",
    );
  });

  test.each(["", "   ", "a\nb", "a\u0000b", "x".repeat(201)])("is one called %j", async (label) => {
    expect(Object.keys(await problemsOf(makeSource(label)))).toEqual(["label"]);
  });

  test("is one with texts that cannot be stored", async () => {
    await makeSource();
    expect(Object.keys(await problemsOf(makeModel("select '\u0000'")))).toEqual(["query"]);
    expect(Object.keys(await problemsOf(makeDestination({ auth_token: "\ud800" })))).toEqual(["auth_token"]);
  });

  test("is found out by a check alone, which writes nothing when all is well", async () => {
    await makeAll();
    const before = (await outbox()).length;
    const input = { ...by(), kind: "sync", label: "Again", entry: SYNC } as const;
    await checkObject(desk(), input);
    expect(await outbox()).toHaveLength(before);
    const wrong = { ...input, entry: { ...SYNC, key: "nokey" } };
    expect(Object.keys(await problemsOf(checkObject(desk(), wrong)))).toEqual(["key"]);
  });
});

describe("a change", () => {
  test("edits what stands, keeps the rest, and is announced", async () => {
    const { destination } = await makeAll();
    await change("destination", destination.id, { edit: (entry) => ({ ...entry, batch_size: 50 }) });
    expect(await readDestination(db(), box, destination.id)).toMatchObject({
      settings: { batch_size: 50 },
      secrets: { auth_token: "hunter2" },
    });
    expect((await outbox()).at(-1)).toMatchObject({ change: "updated", kind: "destination", version: 2 });
  });

  test("gives each kind of object back as it was made", async () => {
    const { source, model, destination, sync } = await makeAll();
    const webhook = await createObject(desk(), {
      ...by(),
      kind: "webhook",
      label: "Pager",
      entry: { endpoint: "https://pager.example/in", events: ["sync.failed"], disable_on_gone: true },
    });
    const api = await createObject(desk(), {
      ...by(),
      kind: "destination",
      label: "Api",
      entry: {
        type: "http_request",
        url: "https://api.example",
        path: "/rows",
        requests_per_second: null,
        oauth: { token_url: "https://api.example/token", client_id: "a", client_secret: "s3cret" },
      },
    });
    const every = await makeSync(
      { ...SYNC, mappings: undefined, field_behavior: "sync_all_properties" },
      "All",
    );
    const before = (await outbox()).length;
    for (const [kind, id] of [
      ["source", source.id],
      ["model", model.id],
      ["destination", destination.id],
      ["destination", api.id],
      ["sync", sync.id],
      ["sync", every.id],
      ["webhook", webhook.id],
    ] as const) {
      await change(kind, id, { edit: (entry) => ({ ...entry }) });
    }
    expect(await outbox()).toHaveLength(before);
  });

  test("of a label leaves the short name, by which secrets are kept", async () => {
    const { destination, sync } = await makeAll();
    await change("destination", destination.id, { label: "Operations" });
    await change("sync", sync.id, { label: null });
    expect(await row("destinations", destination.id)).toMatchObject({
      name: "Ops",
      label: "Operations",
      version: 2,
    });
    expect(await readDestination(db(), box, destination.id)).toMatchObject({
      secrets: { auth_token: "hunter2" },
    });
    expect(await row("syncs", sync.id)).toMatchObject({ name: "orders_to_ops", label: null });
  });

  test("that changes nothing writes nothing", async () => {
    const { sync } = await makeAll();
    const before = (await outbox()).length;
    await change("sync", sync.id, { edit: (entry) => ({ ...entry, paused: false }), label: "Orders to ops" });
    expect(await row("syncs", sync.id)).toMatchObject({ version: 1 });
    expect(await outbox()).toHaveLength(before);
  });

  test("of a sync asks the source only when it decides what is read", async () => {
    const { sync } = await makeAll();
    asked.before = () =>
      Promise.reject(new RunFailure("SOURCE_CONNECTION_FAILED", "Source Warehouse is away"));
    await change("sync", sync.id, {
      edit: (entry) => ({ ...entry, paused: true, schedule: { frequency: "hourly" } }),
    });
    expect(asked.for).toEqual([]);
    expect(await readSync(db(), box, sync.id)).toMatchObject({
      options: { paused: true, schedule: { frequency: "hourly" } },
      mappings: [{}, { to: "city" }, { to: "sum" }],
    });
    const problems = await problemsOf(
      change("sync", sync.id, { edit: (entry) => ({ ...entry, mappings: ["city"] }) }),
    );
    expect(problems).toEqual({ source: "Source Warehouse is away" });
    expect(await row("syncs", sync.id)).toMatchObject({ version: 2 });
  });

  test("may take the list of mappings away, for every column", async () => {
    const { sync } = await makeAll();
    await change("sync", sync.id, { edit: (entry) => ({ ...entry, mappings: undefined }) });
    expect(await readSync(db(), box, sync.id)).toMatchObject({
      mappings: [{ to: "unique_id" }, { to: "city" }, { to: "total" }],
    });
  });

  test("of a model is made although a sync needs a column that goes with it", async () => {
    const { model } = await makeAll();
    await change("model", model.id, { edit: (entry) => ({ ...entry, query: "select id from orders" }) });
    expect(await row("models", model.id)).toMatchObject({ columns: [{ name: "id", type: "bigint" }] });
  });

  test("of a destination is refused where a sync of today could not go on, by the name of that sync", async () => {
    const { destination } = await makeAll();
    await makeSync({ ...SYNC, operation: "mirror" }, "Mirrored");
    const problems = await problemsOf(
      change("destination", destination.id, {
        edit: (entry) => ({ ...entry, wrap_data: false }) as typeof entry,
      }),
    );
    expect(Object.keys(problems)).toEqual(["syncs.Mirrored.operation"]);
  });

  test("pauses by hand in the same step", async () => {
    const { sync } = await makeAll();
    await change("sync", sync.id, { pausedByHand: true });
    expect(await readSync(db(), box, sync.id)).toMatchObject({ options: { paused: true } });
    expect((await outbox()).at(-1)!.data).toMatchObject({ settings: { paused: true } });
  });

  test("of an object that is elsewhere or nowhere is not found", async () => {
    const { sync } = await makeAll();
    const { rows } = await sql<{
      id: number;
    }>`insert into egret.workspaces (name) values ('other') returning id`.execute(db());
    const elsewhere = { workspaceId: rows[0]!.id };
    await expect(change("sync", sync.id, elsewhere)).rejects.toBeInstanceOf(NotFound);
    await expect(change("source", sync.id + 1000)).rejects.toBeInstanceOf(NotFound);
    const gone = { ...by(), ...elsewhere, kind: "sync", id: sync.id, expectedVersions: null } as const;
    await expect(deleteObject(desk(), gone)).rejects.toBeInstanceOf(NotFound);
    expect(await row("syncs", sync.id)).toMatchObject({ version: 1 });
  });
});
