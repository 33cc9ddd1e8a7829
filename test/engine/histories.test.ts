/** Random histories of a source, run by run, against a model in memory of what a destination must have been told. */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import type { Operation, Sync } from "../../src/domain/configuration.ts";
import { OPERATION_RULES } from "../../src/engine/operations.ts";
import {
  type EngineFixture,
  HOMES,
  type Home,
  makeSync,
  openEngine,
  type SentBatch,
  withHome,
} from "./fixture.ts";

let engine: EngineFixture;
let lastSync = 0;
beforeAll(async () => {
  engine = await openEngine();
  await engine.onSource("create table world (sync int, id text, plan text)");
});

/** Where the state stands run by run: the same throughout, or moved between runs. */
type Homes = Home | "either";

/** A row of the source; keys repeat and are missing, as they are in the world. */
interface Row {
  id: string | null;
  plan: string;
}

/** What becomes of the rows of one key between two runs: one row with a value, none, or two that differ. */
type Edit = "stay" | "x" | "y" | "gone" | "twice";
type Outcome = "accepted" | "rejected" | "unavailable";

/** What happens between two runs and in the one that follows. */
interface Step {
  edits: Edit[];
  nullKeys: number;
  /** What the destination says of each key; the run fails where nobody learns it. */
  outcomes: Outcome[];
  force: boolean;
  /** The run ends before it is committed. */
  fails: boolean;
  /** Keys held in memory: nothing may depend on it. */
  inMemory: number;
  /** Where the state stands if that changes: nothing may depend on it either. */
  home: Home;
}

const OPERATIONS = Object.keys(OPERATION_RULES) as Operation[];
const KEYS = ["a", "é", "f ", "H", "h", ""];
const perKey = <T>(each: fc.Arbitrary<T>) =>
  fc.array(each, { minLength: KEYS.length, maxLength: KEYS.length });
const mostly = <T>(usual: T, other: T, weight = 3) =>
  fc.oneof({ weight, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constant(other) });
const edit = fc.constantFrom<Edit>("stay", "stay", "x", "x", "y", "y", "gone", "twice");
const outcome = fc.constantFrom<Outcome>("accepted", "accepted", "rejected", "unavailable");
const step: fc.Arbitrary<Step> = fc.record({
  edits: perKey(edit),
  nullKeys: fc.nat(2),
  outcomes: fc.oneof(perKey(fc.constant<Outcome>("accepted")), perKey(outcome)),
  force: mostly(false, true, 5),
  fails: mostly(false, true),
  inMemory: fc.constantFrom(0, 1000),
  home: fc.constantFrom<Home>("basic", "advanced"),
});

/** The model: what the destination accepted, and which of it is to be sent again whatever the source says. */
class Model {
  readonly accepted = new Map<string, string>();
  readonly inDoubt = new Set<string>();
  readonly #operation: Operation;

  constructor(operation: Operation) {
    this.#operation = operation;
  }

  /** What a run over these rows must send: `changed` rows with their values, and `deleted` keys. */
  expect(rows: readonly Row[], force: boolean): { changed: Map<string, string>; deleted: string[] } {
    const groups = Map.groupBy(
      rows.filter((row) => row.id !== null),
      (row) => String(row.id),
    );
    const sent = new Map<string, string>();
    for (const [id, group] of groups) {
      const plan = group[0]?.plan ?? "";
      if (group.length === 1 && this.#isSent(id, plan, force)) sent.set(id, plan);
    }
    const gone = [...this.accepted.keys()].filter((id) => !groups.has(id));
    if (this.#operation !== "delete")
      return { changed: sent, deleted: this.#operation === "mirror" ? gone : [] };
    // A key that leaves the list of deletes is forgotten, whatever becomes of the run.
    for (const id of gone) this.accepted.delete(id);
    return { changed: new Map(), deleted: [...sent.keys()] };
  }

  #isSent(id: string, plan: string, force: boolean): boolean {
    const before = this.accepted.get(id);
    if (before === undefined || force) return true;
    return this.#renews && (before !== plan || this.inDoubt.has(id));
  }

  /** Whether a row that was accepted is sent again when it changes. */
  get #renews(): boolean {
    return ["upsert", "update", "mirror"].includes(this.#operation);
  }

  settle(changed: Map<string, string>, deleted: string[], outcomeOf: (id: string) => Outcome): void {
    for (const [id, plan] of changed) {
      const before = this.accepted.get(id);
      if (outcomeOf(id) === "accepted") {
        this.accepted.set(id, plan);
        this.inDoubt.delete(id);
      } else if (before !== undefined && (outcomeOf(id) === "unavailable" || before === plan))
        this.inDoubt.add(id);
    }
    for (const id of deleted) {
      if (this.#operation === "delete") {
        if (outcomeOf(id) === "accepted") this.accepted.set(id, "deleted");
        continue;
      }
      if (outcomeOf(id) === "accepted") this.accepted.delete(id);
      if (outcomeOf(id) === "accepted") this.inDoubt.delete(id);
      if (outcomeOf(id) === "unavailable") this.inDoubt.add(id);
    }
  }
}

/** The source after the edits of a step. */
function after(rows: readonly Row[], { edits, nullKeys }: Step): Row[] {
  const world = Array.from({ length: nullKeys }, (): Row => ({ id: null, plan: "x" }));
  for (const [at, id] of KEYS.entries()) {
    const wanted = edits[at] ?? "stay";
    if (wanted === "stay") world.push(...rows.filter((row) => row.id === id));
    else if (wanted === "twice") world.push({ id, plan: "x" }, { id, plan: "y" });
    else if (wanted !== "gone") world.push({ id, plan: wanted });
  }
  return world;
}

async function writeSource(syncId: number, rows: readonly Row[]): Promise<void> {
  await engine.onSource("delete from world where sync = $1", [syncId]);
  await engine.onSource("insert into world select $1, * from unnest($2::text[], $3::text[])", [
    syncId,
    rows.map((row) => row.id),
    rows.map((row) => row.plan),
  ]);
}

const idOf = (data: SentBatch["data"]) => String(data[0]?.["unique_id"]);

function tell(batches: readonly SentBatch[]): { changed: Map<string, string>; deleted: string[] } {
  const changed = new Map<string, string>();
  const deleted: string[] = [];
  for (const { operation, data } of batches) {
    const id = idOf(data);
    if (operation === "deleted") deleted.push(id);
    else changed.set(id, String(data[0]?.["plan"]));
  }
  return { changed, deleted };
}

function newSync(operation: Operation): Sync {
  lastSync += 1;
  const query = `select id, plan from world where sync = ${lastSync}`;
  const object = { type: "model", modelId: lastSync, name: "world", query } as const;
  return makeSync({ sourceUrl: engine.sourceUrl, syncId: lastSync, operation, object, batchSize: 1 });
}

const byKey = (changed: Map<string, string>) => [...changed].sort(([a], [b]) => (a < b ? -1 : 1));

async function checkHistory(operation: Operation, homes: Homes, steps: readonly Step[]): Promise<void> {
  const made = newSync(operation);
  const model = new Model(operation);
  let rows: Row[] = [];
  for (const each of steps) {
    const sync = withHome(made, homes === "either" ? each.home : homes);
    rows = after(rows, each);
    await writeSource(sync.id, rows);
    const force = each.force && operation !== "append";
    const inMemory = { keys: each.inMemory, bytes: each.inMemory * 10 };
    const run = await engine.plan(sync, { force, inMemory });
    const batches = await engine.sent(run.runId);
    const told = tell(batches);
    const expected = model.expect(rows, force);
    expect(byKey(told.changed)).toEqual(byKey(expected.changed));
    expect(told.deleted.toSorted()).toEqual(expected.deleted.toSorted());
    expect(batches).toHaveLength(expected.changed.size + expected.deleted.length);
    // What is counted as deletes are the keys that left the source of a mirror.
    const deletes = operation === "mirror" ? expected.deleted.length : 0;
    expect(run).toMatchObject({ updates: batches.length - deletes, deletes });
    expect(run.invalids).toBe(rows.filter((row) => isInvalid(row, rows)).length);
    const outcomeOf = (id: string): Outcome => each.outcomes[KEYS.indexOf(id)] ?? "accepted";
    const fails = each.fails || batches.some(({ data }) => outcomeOf(idOf(data)) === "unavailable");
    await engine.end(sync, run, ({ data }) => outcomeOf(idOf(data)), { fails });
    model.settle(expected.changed, expected.deleted, outcomeOf);
    expect((await engine.state(sync.id)).toSorted()).toEqual([...model.accepted.keys()].toSorted());
  }
}

function isInvalid(row: Row, rows: readonly Row[]): boolean {
  return row.id === null || rows.filter((each) => each.id === row.id).length > 1;
}

describe.each<Homes>([...HOMES, "either"])("after any history with %s state", (homes) => {
  // The others differ from these by their rules alone, not by where the state stands.
  test.each<Operation>(homes === "either" ? OPERATIONS : ["upsert", "append", "mirror"])(
    "the destination of %s was told what the model says, and the state is what it accepted",
    async (operation) => {
      const histories = fc.array(step, { minLength: 4, maxLength: 6 });
      await fc.assert(
        fc.asyncProperty(histories, (steps) => checkHistory(operation, homes, steps)),
        { numRuns: 6, seed: 20_260_203, endOnFailure: true, unbiased: true },
      );
    },
  );
});
