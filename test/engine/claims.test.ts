import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  acceptTrigger,
  acceptTriggers,
  answerAtAGlance,
  claimOf,
  releaseSync,
} from "../../src/engine/claims.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { testDatabase } from "../support/namespace.ts";

describe("claims", () => {
  let database: OpenDatabase;
  beforeAll(async () => {
    database = openDatabase((await testDatabase({ migrated: true })).url);
  });
  afterAll(() => database.close());
  const trigger = (syncId: number, commandId: string) =>
    acceptTrigger(database.db, { workspaceId: 1, commandId, syncId });

  test("gives a trigger a run, and the same run when the command comes again", async () => {
    const first = await trigger(1, "a");
    expect(first).toEqual({ kind: "accepted", runId: expect.any(Number), duplicate: false });
    expect(await trigger(1, "a")).toEqual({ kind: "accepted", runId: first.runId, duplicate: true });
  });

  test("names the run that is in the way of another command", async () => {
    const first = await trigger(2, "b");
    expect(await trigger(2, "c")).toEqual({ kind: "busy", runId: first.runId });
  });

  test("knows a command long after its run has ended", async () => {
    const first = await trigger(3, "d");
    await releaseSync(database.db, 3, first.runId);
    const second = await trigger(3, "e");
    expect(second).toMatchObject({ kind: "accepted", duplicate: false });
    expect(await trigger(3, "d")).toEqual({ kind: "accepted", runId: first.runId, duplicate: true });
  });

  test("lets exactly one of many commands at once have the sync", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => trigger(4, `f${index}`)));
    const accepted = answers.filter((answer) => answer.kind === "accepted");
    expect(accepted).toHaveLength(1);
    expect(new Set(answers.map((answer) => answer.runId))).toEqual(new Set([accepted[0]?.runId]));
  });

  test("makes one run of many copies of one command at once", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => trigger(5, "same")));
    expect(new Set(answers.map((answer) => answer.runId)).size).toBe(1);
    expect(answers.filter((answer) => answer.kind === "accepted" && !answer.duplicate)).toHaveLength(1);
  });

  test("does not free a sync from a later run when an earlier one is released again", async () => {
    const first = await trigger(6, "g");
    await releaseSync(database.db, 6, first.runId);
    const second = await trigger(6, "h");
    await releaseSync(database.db, 6, first.runId);
    expect(await trigger(6, "i")).toEqual({ kind: "busy", runId: second.runId });
  });

  test("drops open batches and bodies with the run", async () => {
    const { runId } = await trigger(7, "j");
    await sql`insert into egret.batches (run_id, batch_no, sync_id, destination_id, records, body, body_sha256, keys, hashes)
      values (${runId}, 1, 7, 1, 1, '{}', 'x', '{a}', '{1}')`.execute(database.db);
    await releaseSync(database.db, 7, runId);
    const batch = await database.db
      .selectFrom("egret.batches")
      .selectAll()
      .where("run_id", "=", runId)
      .executeTakeFirst();
    expect(batch).toMatchObject({ outcome: "dropped", body: null, keys: null, hashes: null });
  });

  test("keeps what a run is asked for with the trigger that causes it, and with no other", async () => {
    const claims = ["k1", "k2", "k3"].map((commandId) => ({
      workspaceId: 1,
      commandId,
      syncId: 8,
      onBusy: "wait" as const,
      reason: `why ${commandId}`,
      asked: { force_full_sync: true, requested_via: "API" as const },
    }));
    const [active, waiting, joined] = await acceptTriggers(database.db, claims);
    expect(joined).toEqual({ ...waiting, duplicate: true });
    for (const [commandId, answer] of [
      ["k1", active],
      ["k2", waiting],
    ] as const) {
      const runId = (answer as { runId: number }).runId;
      expect(await claimOf(database.db, { workspaceId: 1, runId })).toEqual({
        commandId,
        reason: `why ${commandId}`,
        asked: { force_full_sync: true, requested_via: "API" },
      });
      expect(await claimOf(database.db, { workspaceId: 2, runId })).toBeNull();
    }
    const { runId } = await trigger(9, "k4");
    expect(await claimOf(database.db, { workspaceId: 1, runId })).toBeNull();
  });

  describe("of many triggers at once", () => {
    const of = (syncId: number, commandId: string, onBusy?: "skip" | "wait" | "wait_alone" | "drop") => ({
      workspaceId: 1,
      commandId,
      syncId,
      ...(onBusy === undefined ? {} : { onBusy }),
    });

    test("answers as if they had come one after the other", async () => {
      const answers = await acceptTriggers(database.db, [
        of(31, "m1"),
        of(30, "m2"),
        of(31, "m3"),
        of(31, "m1"),
        of(30, "m4", "skip"),
        of(30, "m5", "wait"),
        of(30, "m6", "wait"),
        of(30, "m7", "wait_alone"),
        of(30, "m8", "drop"),
        { ...of(32, "m9"), isPaused: true },
      ]);
      const [first, second, , , skipped, waiting] = answers.map((answer) =>
        "runId" in answer ? answer.runId : 0,
      );
      expect(new Set([first, second, skipped, waiting]).size).toBe(4);
      expect(answers).toEqual([
        { kind: "accepted", runId: first, duplicate: false },
        { kind: "accepted", runId: second, duplicate: false },
        { kind: "busy", runId: first },
        { kind: "accepted", runId: first, duplicate: true },
        { kind: "skipped", runId: skipped, runningRunId: second, duplicate: false },
        { kind: "accepted", runId: waiting, duplicate: false },
        { kind: "accepted", runId: waiting, duplicate: true },
        { kind: "busy", runId: waiting },
        { kind: "dropped", runId: second },
        { kind: "paused" },
      ]);
      await releaseSync(database.db, 30, second ?? 0);
      expect(await acceptTrigger(database.db, of(30, "m10"))).toEqual({ kind: "busy", runId: waiting });
    });

    test("knows at a glance what changes nothing", () => {
      const known = { runId: 7, skippedFor: null };
      expect(answerAtAGlance({}, { active: 8, known })).toEqual({
        kind: "accepted",
        runId: 7,
        duplicate: true,
      });
      expect(answerAtAGlance({}, { active: null, known: { runId: 7, skippedFor: 6 } })).toEqual({
        kind: "skipped",
        runId: 7,
        runningRunId: 6,
        duplicate: true,
      });
      const busy = { active: 8, known: null };
      expect(answerAtAGlance({}, busy)).toEqual({ kind: "busy", runId: 8 });
      expect(answerAtAGlance({ onBusy: "drop" }, busy)).toEqual({ kind: "dropped", runId: 8 });
      for (const onBusy of ["skip", "wait", "wait_alone"] as const) {
        expect(answerAtAGlance({ onBusy }, busy)).toBeNull();
      }
      expect(answerAtAGlance({ isPaused: true }, busy)).toBeNull();
      expect(answerAtAGlance({}, { active: null, known: null })).toBeNull();
    });

    test("takes a command for a new one once it may be forgotten", async () => {
      const { runId } = await trigger(33, "old");
      await releaseSync(database.db, 33, runId);
      await sql`update egret.accepted_commands set accepted_at = now() - interval '2 hours' where command_id = 'old'`.execute(
        database.db,
      );
      const remembered = { ...of(33, "old"), forgetAfterMs: 3 * 3_600_000 };
      expect(await acceptTriggers(database.db, [remembered])).toEqual([
        { kind: "accepted", runId, duplicate: true },
      ]);
      const [anew] = await acceptTriggers(database.db, [{ ...of(33, "old"), forgetAfterMs: 3_600_000 }]);
      expect(anew).toMatchObject({ kind: "accepted", duplicate: false });
      expect(await trigger(33, "old")).toMatchObject({
        duplicate: true,
        runId: (anew as { runId: number }).runId,
      });
    });

    test("does not wait long for one sync that somebody has", async () => {
      await trigger(34, "held");
      const gate = Promise.withResolvers<void>();
      const locked = Promise.withResolvers<void>();
      const holder = database.db.transaction().execute(async (tx) => {
        await sql`select 1 from egret.sync_states where sync_id = 34 for update`.execute(tx);
        locked.resolve();
        await gate.promise;
      });
      await locked.promise;
      await expect(acceptTriggers(database.db, [of(34, "x1"), of(35, "x2")])).rejects.toThrow("lock timeout");
      gate.resolve();
      await holder;
      expect(await trigger(35, "x2")).toMatchObject({ kind: "accepted", duplicate: false });
    });
  });
});
