import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { acceptTrigger, releaseSync } from "../../src/engine/claims.ts";
import { askForSlot, leaveSlot, renewSlots } from "../../src/engine/slots.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { testDatabase } from "../support/namespace.ts";

describe("places of working runs", () => {
  let database: OpenDatabase;
  let workspaceId = 0;
  // Above the ids that claims give out here.
  let lastRun = 10_000;
  beforeAll(async () => {
    database = openDatabase((await testDatabase({ migrated: true })).url, { maxConnections: 20 });
  });
  afterAll(() => database.close());

  /** A workspace of its own with runs in the order of their creation, each of a sync of its own. */
  function workspace(limit: number) {
    workspaceId += 1;
    const ws = workspaceId;
    const first = lastRun + 1;
    lastRun += 100;
    const run = (n: number) => ({ workspaceId: ws, syncId: first + n, runId: first + n });
    return {
      run,
      ask: (n: number) => askForSlot(database.db, run(n), limit),
      leave: (n: number, hasEnded = true) => leaveSlot(database.db, { runId: run(n).runId, hasEnded }),
      /** As if its worker had been silent for a while. */
      die: (n: number) =>
        sql`update egret.run_slots set seen_at = now() - interval '1 minute' where run_id = ${run(n).runId}`.execute(
          database.db,
        ),
    };
  }

  test("are granted up to the limit, whoever asks at once", async () => {
    const { ask } = workspace(3);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => ask(n)));
    expect(answers.filter(({ kind }) => kind === "granted")).toHaveLength(3);
  });

  test("go to the oldest run that waits, not to the one that asks first", async () => {
    const { ask, leave } = workspace(1);
    expect(await ask(0)).toEqual({ kind: "granted", parked: 0 });
    expect(await ask(2)).toEqual({ kind: "full", ahead: 0 });
    expect(await ask(1)).toEqual({ kind: "full", ahead: 0 });
    expect(await ask(2)).toEqual({ kind: "full", ahead: 1 });
    await leave(0);
    expect(await ask(2)).toEqual({ kind: "full", ahead: 1 });
    expect(await ask(1)).toMatchObject({ kind: "granted" });
    await leave(1);
    expect(await ask(2)).toMatchObject({ kind: "granted" });
  });

  test("are kept for the oldest that wait, as many as there are, in whatever order they ask", async () => {
    const { ask, leave } = workspace(2);
    await ask(0);
    await ask(1);
    for (const waiting of [4, 2, 3]) expect(await ask(waiting)).toMatchObject({ kind: "full" });
    await leave(0);
    await leave(1);
    // Both places are free: one for each of 2 and 3, and none for 4 though it asks before them.
    expect(await ask(4)).toEqual({ kind: "full", ahead: 2 });
    expect(await ask(3)).toMatchObject({ kind: "granted" });
    await leave(3);
    // 2 has not asked yet; what is left beside its place is there for 4.
    expect(await ask(4)).toMatchObject({ kind: "granted" });
    expect(await ask(5)).toEqual({ kind: "full", ahead: 1 });
    expect(await ask(2)).toMatchObject({ kind: "granted" });
  });

  test("say how often a run was sent back", async () => {
    const { ask, leave } = workspace(1);
    await ask(0);
    for (let look = 0; look < 5; look++) await ask(1);
    await leave(0);
    expect(await ask(1)).toEqual({ kind: "granted", parked: 5 });
    // Left at a shutdown and taken up again: those were still no failed tries.
    await leave(1, false);
    expect(await ask(1)).toEqual({ kind: "granted", parked: 5 });
  });

  test("stay with a run that asks again", async () => {
    const { ask } = workspace(1);
    await ask(1);
    await ask(0);
    expect(await ask(1)).toEqual({ kind: "granted", parked: 0 });
  });

  test("are free again when the worker of a run is silent, and its run takes the next one", async () => {
    const { ask, leave, die } = workspace(1);
    await ask(0);
    expect(await ask(1)).toMatchObject({ kind: "full" });
    await die(0);
    expect(await ask(1)).toMatchObject({ kind: "granted" });
    expect(await ask(0)).toMatchObject({ kind: "full" });
    expect(await ask(2)).toEqual({ kind: "full", ahead: 1 });
    await leave(1);
    expect(await ask(0)).toMatchObject({ kind: "granted" });
  });

  test("outlive a pause that is renewed", async () => {
    const { ask, die, run } = workspace(1);
    await ask(0);
    await die(0);
    await renewSlots(database.db, [run(0).runId]);
    expect(await ask(1)).toMatchObject({ kind: "full" });
  });

  test("are not kept from others by a waiting run that nobody asks for any more", async () => {
    const { ask, leave, die } = workspace(1);
    await ask(0);
    await ask(1);
    await die(1);
    await leave(0);
    expect(await ask(2)).toMatchObject({ kind: "granted" });
  });

  test("of one workspace are not those of another", async () => {
    const one = workspace(1);
    const other = workspace(1);
    await one.ask(0);
    expect(await other.ask(0)).toMatchObject({ kind: "granted" });
  });

  test("are not given to a run whose sync has another one, nor does it hold others up", async () => {
    const { ask, run } = workspace(1);
    const syncId = 1_000_000;
    const trigger = { workspaceId, syncId, onBusy: "wait" } as const;
    const running = await acceptTrigger(database.db, { ...trigger, commandId: "b1" });
    const waiting = await acceptTrigger(database.db, { ...trigger, commandId: "b2" });
    if (running.kind !== "accepted" || waiting.kind !== "accepted") throw new Error("not accepted");
    const asked = { workspaceId: run(0).workspaceId, syncId, runId: waiting.runId };
    expect(await askForSlot(database.db, asked, 1)).toEqual({ kind: "blocked" });
    expect(await ask(50)).toMatchObject({ kind: "granted" });
    await leaveSlot(database.db, { runId: run(50).runId, hasEnded: true });
    await releaseSync(database.db, syncId, running.runId);
    expect(await askForSlot(database.db, asked, 1)).toEqual({ kind: "granted", parked: 1 });
  });

  test("go to an older run as soon as its sync is free, before it asks again", async () => {
    const { ask, run, leave } = workspace(1);
    const syncId = 1_000_001;
    const trigger = { workspaceId, syncId, onBusy: "wait" } as const;
    const running = await acceptTrigger(database.db, { ...trigger, commandId: "c1" });
    const waiting = await acceptTrigger(database.db, { ...trigger, commandId: "c2" });
    if (running.kind !== "accepted" || waiting.kind !== "accepted") throw new Error("not accepted");
    const asked = { workspaceId: run(0).workspaceId, syncId, runId: waiting.runId };
    expect(await askForSlot(database.db, asked, 1)).toEqual({ kind: "blocked" });
    expect(await ask(50)).toMatchObject({ kind: "granted" });
    expect(await ask(51)).toEqual({ kind: "full", ahead: 0 });
    await releaseSync(database.db, syncId, running.runId);
    await leave(50);
    expect(await ask(51)).toEqual({ kind: "full", ahead: 1 });
    expect(await askForSlot(database.db, asked, 1)).toMatchObject({ kind: "granted" });
  });
});
