import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type TriggerCommand, triggerCommandSchema } from "../../../src/domain/command.ts";
import type { SyncOptions } from "../../../src/domain/syncOptions.ts";
import { acceptTrigger, claimOf, releaseSync } from "../../../src/engine/claims.ts";
import type { EventLog } from "../../../src/log/eventLog.ts";
import { type OpenDatabase, openDatabase } from "../../../src/projections/database.ts";
import { replay } from "../../../src/runtime/actor.ts";
import type { CommandTools } from "../../../src/runtime/commandInHand.ts";
import { runBehaviour } from "../../../src/runtime/runs/runActor.ts";
import { handleTrigger } from "../../../src/runtime/triggers/triggerCommand.ts";
import type { TriggeredSync } from "../../../src/runtime/triggers/triggerDesk.ts";
import { testLog } from "../../support/log.ts";
import { testDatabase } from "../../support/namespace.ts";

const AUTOMATIC = ["Schedule", "Sequence", "Inbound Hook", "dbt Cloud"] as const;
const BY_HAND = ["API", "CLI", "JetStream"] as const;

describe("the command trigger", () => {
  let database: OpenDatabase;
  let log: EventLog;
  let nextSync = 0;
  beforeAll(async () => {
    database = openDatabase((await testDatabase({ migrated: true })).url);
    ({ log } = await testLog());
  });
  afterAll(() => database.close());

  function syncWith(options: Partial<SyncOptions> = {}) {
    nextSync += 1;
    const sync: TriggeredSync = {
      id: nextSync,
      name: `s${nextSync}`,
      options: { paused: false, overlap_policy: "skip", ...options },
    };
    const tools = {
      log,
      logger: pino({ level: "silent" }),
      desk: {
        findSync: async () => sync,
        syncNames: async () => [],
        acceptTrigger: (claim) => acceptTrigger(database.db, claim),
        claimOf: (run) => claimOf(database.db, run),
      },
    } as Pick<CommandTools, "log" | "logger"> & { desk: Partial<CommandTools["desk"]> } as CommandTools;
    return {
      sync,
      trigger: (commandId: string, payload: Partial<TriggerCommand>) =>
        handleTrigger(tools, {
          workspaceId: 1,
          commandId,
          payload: triggerCommandSchema.parse({ sync: sync.id, ...payload }),
          traceparent: undefined,
        }),
      runOf: async (commandId: string) => {
        const row = await database.db
          .selectFrom("egret.accepted_commands")
          .select("run_id")
          .where("command_id", "=", commandId)
          .executeTakeFirst();
        return row?.run_id ?? null;
      },
      historyOf: async (runId: number | null) => {
        const run = { kind: "run", workspaceId: 1, syncId: sync.id, runId: runId ?? 0 } as const;
        const history = await log.load(run);
        if (history.length > 0) replay(runBehaviour, run, history);
        return history.map(({ event }) => event);
      },
    };
  }

  test.each(AUTOMATIC)(
    "%s while a run is under way: a skipped run, and nothing else",
    async (requested_via) => {
      const { trigger, runOf, historyOf, sync } = syncWith();
      await trigger(`${requested_via.replace(" ", "-")}-1`, {});
      const running = await runOf(`${requested_via.replace(" ", "-")}-1`);
      const id = `${requested_via.replace(" ", "-")}-2`;
      const scheduled_execution_time = "2026-02-03T10:00:00.000Z";
      const outcome = await trigger(id, { requested_via, reason: "why", scheduled_execution_time });
      expect(outcome).toMatchObject({ kind: "done" });
      const history = await historyOf(await runOf(id));
      expect(history).toEqual([
        expect.objectContaining({
          type: "sync.skipped",
          state: "skipped",
          machine: runBehaviour.name,
          data: {
            workspace_id: 1,
            sync_id: sync.id,
            sync_run_id: await runOf(id),
            command_id: id,
            sync_name: sync.name,
            sync_trigger_reason: { ui_tag: requested_via, ui_detail: "why" },
            scheduled_execution_time,
            running_run_id: running,
          },
        }),
      ]);
      // The sync is still the running run's, and the same command gives the same skipped run.
      await trigger(id, { requested_via });
      expect(await historyOf(await runOf(id))).toHaveLength(1);
      expect(await historyOf(running)).toHaveLength(1);
    },
  );

  test.each(BY_HAND)("%s while a run is under way: refused, with the run's id", async (requested_via) => {
    const { trigger, runOf } = syncWith();
    await trigger(`${requested_via}-1`, { requested_via: "Schedule" });
    expect(await trigger(`${requested_via}-2`, { requested_via })).toEqual({
      kind: "refused",
      refusal: {
        code: "ALREADY_RUNNING",
        message: expect.stringContaining("wait for its end"),
        runId: await runOf(`${requested_via}-1`),
      },
    });
    expect(await runOf(`${requested_via}-2`)).toBeNull();
  });

  test.each([...AUTOMATIC, ...BY_HAND])(
    "%s with queue_one: one run waits, and further triggers give its id",
    async (requested_via) => {
      const { trigger, runOf, historyOf, sync } = syncWith({ overlap_policy: "queue_one" });
      const id = (n: number) => `q-${requested_via.replace(" ", "-")}-${n}`;
      for (let n = 1; n <= 4; n++)
        expect(await trigger(id(n), { requested_via })).toMatchObject({ kind: "done" });
      const [running, waiting, third, fourth] = await Promise.all([1, 2, 3, 4].map((n) => runOf(id(n))));
      expect(new Set([running, waiting]).size).toBe(2);
      expect([third, fourth]).toEqual([waiting, waiting]);
      expect((await historyOf(waiting ?? null)).map(({ type }) => type)).toEqual(["sync.triggered"]);
      await releaseSync(database.db, sync.id, running ?? 0);
      // It has the sync now: the next trigger is the next to wait.
      await trigger(id(5), { requested_via });
      expect(await runOf(id(5))).not.toBe(waiting);
    },
  );

  test("with queue_one: what the waiting run was not triggered with is refused, not lost", async () => {
    const { trigger, runOf, historyOf } = syncWith({ overlap_policy: "queue_one" });
    await trigger("w-1", { requested_via: "CLI" });
    await trigger("w-2", { requested_via: "CLI", allow_deletes: true });
    const waiting = await runOf("w-2");
    const full = { requested_via: "CLI", force_full_sync: true, allow_deletes: true } as const;
    for (let times = 1; times <= 2; times += 1) {
      expect(await trigger("w-3", full)).toEqual({
        kind: "refused",
        refusal: {
          code: "ALREADY_RUNNING",
          message: expect.stringMatching(`^force_full_sync: run ${waiting} .* cancel it, or wait`),
          runId: waiting,
        },
      });
    }
    expect(await trigger("w-4", { requested_via: "CLI", allow_deletes: true })).toMatchObject({
      kind: "done",
    });
    expect(await trigger("w-2", { requested_via: "CLI", allow_deletes: true })).toMatchObject({
      kind: "done",
    });
    expect(await historyOf(waiting)).toHaveLength(1);
    expect([await runOf("w-3"), await runOf("w-4")]).toEqual([null, waiting]);
  });

  test("a continuous tick while a run is under way leaves no record", async () => {
    const { trigger, runOf } = syncWith({
      schedule: { frequency: "continuous" },
      overlap_policy: "queue_one",
    });
    await trigger("c-1", { requested_via: "Schedule" });
    expect(await trigger("c-2", { requested_via: "Schedule" })).toMatchObject({ kind: "done" });
    expect(await runOf("c-2")).toBeNull();
    const state = await database.db
      .selectFrom("egret.sync_states")
      .select("waiting_run_id")
      .where("sync_id", "=", nextSync)
      .executeTakeFirst();
    expect(state?.waiting_run_id).toBeNull();
  });

  test.each(AUTOMATIC)("%s of a paused sync: refused", async (requested_via) => {
    const { trigger, runOf } = syncWith({ paused: true });
    const id = `p-${requested_via.replace(" ", "-")}`;
    expect(await trigger(id, { requested_via })).toMatchObject({
      kind: "refused",
      refusal: { code: "PAUSED" },
    });
    expect(await runOf(id)).toBeNull();
  });

  test.each(BY_HAND)("%s of a paused sync: runs", async (requested_via) => {
    const { trigger, runOf, historyOf } = syncWith({ paused: true });
    expect(await trigger(`p-${requested_via}`, { requested_via })).toMatchObject({ kind: "done" });
    const [event] = await historyOf(await runOf(`p-${requested_via}`));
    expect(event).toMatchObject({
      type: "sync.triggered",
      data: {
        sync_trigger_reason: { ui_tag: requested_via === "CLI" ? "Manual" : requested_via },
        scheduled_execution_time: null,
      },
    });
  });

  test("a waiting run whose worker died before its event begins as what was asked for first, whoever joins it", async () => {
    const { sync, trigger, runOf, historyOf } = syncWith({ overlap_policy: "queue_one" });
    await trigger("j-1", {});
    const asked = { requested_via: "CLI", force_full_sync: true } as const;
    const claim = { workspaceId: 1, syncId: sync.id, onBusy: "wait", reason: "loaded anew", asked } as const;
    await acceptTrigger(database.db, { ...claim, commandId: "j-2" });
    expect(await trigger("j-3", { requested_via: "API", reason: "another" })).toMatchObject({ kind: "done" });
    expect(await runOf("j-3")).toBe(await runOf("j-2"));
    const [first, ...others] = await historyOf(await runOf("j-2"));
    expect(others).toEqual([]);
    expect(first?.data).toMatchObject({
      command_id: "j-2",
      force_full_sync: true,
      sync_trigger_reason: { ui_tag: "Manual", ui_detail: "loaded anew" },
    });
    // The command that comes back finds its run begun.
    expect(await trigger("j-2", { ...asked, reason: "loaded anew" })).toMatchObject({ kind: "done" });
    expect(await historyOf(await runOf("j-2"))).toHaveLength(1);
  });

  test("a tick whose worker died before its event is a run also when the sync was paused meanwhile", async () => {
    const { sync, trigger, runOf, historyOf } = syncWith();
    await acceptTrigger(database.db, { workspaceId: 1, commandId: "late", syncId: sync.id, onBusy: "skip" });
    sync.options.paused = true;
    expect(await trigger("late", { requested_via: "Schedule" })).toMatchObject({ kind: "done" });
    expect((await historyOf(await runOf("late"))).map(({ type }) => type)).toEqual(["sync.triggered"]);
  });
});
