import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { acceptTrigger, releaseSync } from "../../src/engine/claims.ts";
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
});
