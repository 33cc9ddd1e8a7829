import { describe, expect, test } from "vitest";
import { type Applied, applyChanges } from "../../src/configuration/apply.ts";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { deleteObject, type EntryOf } from "../../src/configuration/objectDesk.ts";
import { planChanges } from "../../src/configuration/plan.ts";
import { readDestination, readSync } from "../../src/configuration/store.ts";
import { InUse, InvalidInput, VersionConflict } from "../../src/domain/errors.ts";
import { postgresSource } from "../../src/sources/postgres.ts";
import {
  asked,
  box,
  by,
  change,
  db,
  desk,
  makeAll,
  makeDestination,
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

const apply = async (yaml: string): Promise<Applied> => {
  const file = parseEgretFile(yaml, "egret.yaml", { env: { URL: sourceUrl() }, allowHttp: false });
  const plan = await planChanges({ db: db(), box, file, describe: postgresSource.describeObject });
  return applyChanges({ db: db(), box, plan, actor: "egret apply" });
};
const told = ({ changes }: Applied): string[] =>
  changes
    .filter(({ action }) => action !== "unchanged")
    .map(
      ({ action, kind, name, takesOver }) => `${action} ${kind} ${name}${takesOver ? " (taken over)" : ""}`,
    );

describe("changes at one time", () => {
  test("with the same expected version are won by one", async () => {
    const { destination } = await makeAll();
    const sizes = [10, 20, 30, 40];
    const outcomes = await Promise.allSettled(
      sizes.map((batch_size) =>
        change("destination", destination.id, {
          expectedVersions: [1],
          edit: (entry) => ({ ...entry, batch_size }),
        }),
      ),
    );
    const won = outcomes.flatMap(({ status }, at) => (status === "fulfilled" ? [sizes[at]] : []));
    expect(won).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(VersionConflict);
    }
    expect(await readDestination(db(), box, destination.id)).toMatchObject({
      settings: { batch_size: won[0] },
    });
    expect(await row("destinations", destination.id)).toMatchObject({ version: 2 });
  });

  test("of different fields without an expected version are all made", async () => {
    const { destination } = await makeAll();
    await Promise.all([
      change("destination", destination.id, { edit: (entry) => ({ ...entry, batch_size: 50 }) }),
      change("destination", destination.id, { edit: (entry) => ({ ...entry, timeout_seconds: 9 }) }),
      change("destination", destination.id, { label: "Operations" }),
    ]);
    expect(await readDestination(db(), box, destination.id)).toMatchObject({
      settings: { batch_size: 50, timeout_seconds: 9 },
    });
    expect(await row("destinations", destination.id)).toMatchObject({ label: "Operations", version: 4 });
  });

  test("give every new object a name of its own", async () => {
    const made = await Promise.all(Array.from({ length: 6 }, () => makeSource("x")));
    expect(made.map(({ name }) => name).toSorted()).toEqual(["x", "x_2", "x_3", "x_4", "x_5", "x_6"]);
  });

  test("are checked again on what stands once it is their turn", async () => {
    const { model, destination } = await makeAll();
    let isFirst = true;
    asked.before = async () => {
      if (!isFirst) return;
      isFirst = false;
      // While the source describes the model, the model becomes another.
      await change("model", model.id, { edit: (entry) => ({ ...entry, query: "select id from orders" }) });
    };
    expect(Object.keys(await problemsOf(makeSync(SYNC, "Late")))).toEqual([
      "mappings[0].column",
      "mappings[1].column",
    ]);
    expect(destination.id).toBeGreaterThan(0);
    expect(await db().selectFrom("egret.syncs").selectAll().execute()).toHaveLength(1);
  });
});

describe("deleting", () => {
  const remove = (kind: keyof EntryOf, id: number, expectedVersions: readonly number[] | null = null) =>
    deleteObject(desk(), { ...by(), kind, id, expectedVersions });

  test("is refused while something uses it, which is named", async () => {
    const { source, model, destination } = await makeAll();
    await makeSync({ ...SYNC, sync_sequence: "orders_to_ops" }, "After");
    const messages = [];
    for (const [kind, id] of [
      ["source", source.id],
      ["model", model.id],
      ["destination", destination.id],
    ] as const) {
      const error: unknown = await remove(kind, id).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(InUse);
      messages.push((error as Error).message);
    }
    expect(messages).toEqual([
      "source Warehouse is used by model Orders, sync orders_to_ops, sync After: delete those first.",
      "model Orders is used by sync orders_to_ops, sync After: delete those first.",
      "destination Ops is used by sync orders_to_ops, sync After: delete those first.",
    ]);
  });

  test("of a sync ends that others run after it", async () => {
    const { sync } = await makeAll();
    const { id } = await makeSync({ ...SYNC, sync_sequence: "orders_to_ops" }, "After");
    await remove("sync", sync.id);
    expect((await readSync(db(), box, id))?.options.sync_sequence).toBeUndefined();
    expect((await outbox()).slice(-2).map(({ kind, change: what }) => `${kind} ${what}`)).toEqual([
      "sync updated",
      "sync deleted",
    ]);
  });

  test("works from the user to the used, and is announced", async () => {
    const { source, model, destination, sync } = await makeAll();
    await remove("sync", sync.id);
    await remove("destination", destination.id);
    await remove("model", model.id);
    await remove("source", source.id);
    const gone = (await outbox()).filter(({ change: what }) => what === "deleted");
    expect(gone.map(({ kind, version }) => `${kind} ${version}`)).toEqual([
      "sync 2",
      "destination 2",
      "model 2",
      "source 2",
    ]);
  });

  test("is refused for another version, and for a sync with a run under way", async () => {
    const { sync } = await makeAll();
    await expect(remove("sync", sync.id, [7])).rejects.toBeInstanceOf(VersionConflict);
    await db()
      .insertInto("egret.sync_states")
      .values({ sync_id: sync.id, active_run_id: 5, fingerprint: null })
      .execute();
    await expect(remove("sync", sync.id)).rejects.toBeInstanceOf(InUse);
    expect(await readSync(db(), box, sync.id)).not.toBeNull();
  });
});

describe("a file beside the API", () => {
  const FILE = `workspace: demo
sources:
  files: { type: postgres, url: \${URL} }
models:
  cities: { source: files, query: "select id, city from orders" }
destinations:
  hook: { type: webhook, url: "https://hook.example/in" }
syncs:
  a: { model: cities, destination: hook, key: id }
`;

  test("leaves alone what the API made, and applies again without a change", async () => {
    const { sync, source } = await makeAll();
    expect(told(await apply(FILE))).toEqual([
      "create source files",
      "create model cities",
      "create destination hook",
      "create sync a",
    ]);
    expect(told(await apply(FILE))).toEqual([]);
    expect(told(await apply("workspace: demo\n"))).toEqual([
      "delete sync a",
      "delete destination hook",
      "delete model cities",
      "delete source files",
    ]);
    expect(await readSync(db(), box, sync.id)).not.toBeNull();
    expect(await row("sources", source.id)).toMatchObject({ managed_by: "api", version: 1 });
  });

  test("takes over what it declares under the same name, and says so", async () => {
    const { destination } = await makeAll();
    const yaml = `workspace: demo
destinations:
  Ops: { type: webhook, url: "https://ops.example/in", auth_token: hunter2 }
`;
    expect(told(await apply(yaml))).toEqual(["update destination Ops (taken over)"]);
    expect(await row("destinations", destination.id)).toMatchObject({
      managed_by: "file",
      version: 2,
      label: "Ops",
    });
    expect(told(await apply(yaml))).toEqual([]);
  });

  test("cannot take away what a sync of the API uses", async () => {
    await apply(FILE);
    await makeDestination();
    await makeSync({ model: "cities", destination: "Ops", key: "id" }, "By hand");
    const error: unknown = await apply("workspace: demo\n").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidInput);
    expect((error as InvalidInput).problems.map(({ message }) => message).join(" ")).toContain(
      "sync by_hand",
    );
    expect(await db().selectFrom("egret.syncs").selectAll().execute()).toHaveLength(2);
    // Also when the sync came between the plan and its turn.
    const file = parseEgretFile("workspace: demo\n", "egret.yaml", { env: {}, allowHttp: false });
    const syncs = await db().selectFrom("egret.syncs").select("id").where("name", "=", "by_hand").execute();
    await deleteObject(desk(), { ...by(), kind: "sync", id: syncs[0]!.id, expectedVersions: null });
    const plan = await planChanges({ db: db(), box, file, describe: desk().describe });
    await makeSync({ model: "cities", destination: "Ops", key: "id" }, "By hand");
    const late = applyChanges({ db: db(), box, plan, actor: "egret apply" });
    await expect(late).rejects.toBeInstanceOf(InvalidInput);
    expect(await db().selectFrom("egret.syncs").selectAll().execute()).toHaveLength(2);
  });

  test("finds a change that the API made to its objects, and makes it undone", async () => {
    const applied = await apply(FILE);
    expect(told(applied)).toHaveLength(4);
    const { id } = await db().selectFrom("egret.destinations").select("id").executeTakeFirstOrThrow();
    await change("destination", id, { edit: (entry) => ({ ...entry, batch_size: 7 }) });
    expect(await row("destinations", id)).toMatchObject({ managed_by: "file" });
    expect(told(await apply(FILE))).toEqual(["update destination hook"]);
  });

  test("keeps the columns of its models", async () => {
    await apply(FILE);
    const { columns } = await db().selectFrom("egret.models").select("columns").executeTakeFirstOrThrow();
    expect(columns).toEqual([
      { name: "id", type: "bigint" },
      { name: "city", type: "text" },
    ]);
  });
});
