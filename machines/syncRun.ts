/** The statechart of one run: one execution of a sync, from its trigger to success or failure. */
import { assign, setup } from "xstate";

/** Version of this statechart, written into each event as `machine: syncRun@1`. */
export const SYNC_RUN_MACHINE = "syncRun@1";

/** What can happen to a run after it was triggered. */
export type SyncRunFact =
  | { type: "sync.started" }
  | { type: "sync.checked" }
  | { type: "sync.snapshotted" }
  | { type: "sync.planned"; batches: number }
  | { type: "sync.loaded" }
  | { type: "sync.completed"; status: "ok" | "emergency" }
  | { type: "sync.success" }
  | { type: "sync.failed" };

/** What a run remembers: how many batches its plan has, and how it ended. */
export interface SyncRunContext {
  batches: number;
  status: "ok" | "emergency" | null;
}

const machine = setup({
  // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- xstate infers its types from this cast
  types: {} as { context: SyncRunContext; events: SyncRunFact },
  guards: {
    isEmergency: ({ event }) => event.type === "sync.completed" && event.status === "emergency",
    isOk: ({ event }) => event.type === "sync.completed" && event.status === "ok",
    endedWell: ({ context }) => context.status === "ok",
    endedBadly: ({ context }) => context.status === "emergency",
  },
  actions: {
    /** Effect: a worker takes the run up. */
    start: () => undefined,
    /** Effect: source, destination, columns and key are looked at before anything is read. */
    check: () => undefined,
    /** Effect: keys and hashes of the model are read in one snapshot. */
    snapshot: () => undefined,
    /** Effect: the snapshot is compared with what was accepted before; batches are written down. */
    plan: () => undefined,
    /** Effect: batches become deliveries; the run waits until each has ended. */
    load: () => undefined,
    /** Effect: state and counters are made final. */
    commit: () => undefined,
    /** Effect: the sync is free for its next run, then the outcome follows `completed` as an event of its own. */
    conclude: () => undefined,
    rememberPlan: assign({
      batches: ({ context, event }) => (event.type === "sync.planned" ? event.batches : context.batches),
    }),
    rememberStatus: assign({
      status: ({ context, event }) => (event.type === "sync.completed" ? event.status : context.status),
    }),
  },
});

const completing = { target: "#syncRun.completed", actions: "rememberStatus" } as const;
const failing = { "sync.completed": { guard: "isEmergency", ...completing } } as const;

/**
 * triggered -> started (checking, snapshotting, diffing, loading, committing) -> completed -> success or failed.
 * A run may fail or be cancelled from any state before `completed`; it ends well only from `committing`.
 */
export const syncRunMachine = machine.createMachine({
  id: "syncRun",
  context: { batches: 0, status: null },
  initial: "triggered",
  states: {
    triggered: { entry: "start", on: { "sync.started": "started", ...failing } },
    started: {
      initial: "checking",
      on: failing,
      states: {
        checking: { entry: "check", on: { "sync.checked": "snapshotting" } },
        snapshotting: { entry: "snapshot", on: { "sync.snapshotted": "diffing" } },
        diffing: { entry: "plan", on: { "sync.planned": { target: "loading", actions: "rememberPlan" } } },
        loading: { entry: "load", on: { "sync.loaded": "committing" } },
        committing: { entry: "commit", on: { "sync.completed": { guard: "isOk", ...completing } } },
      },
    },
    completed: {
      initial: "concluding",
      states: {
        concluding: {
          entry: "conclude",
          on: {
            "sync.success": { guard: "endedWell", target: "success" },
            "sync.failed": { guard: "endedBadly", target: "failed" },
          },
        },
        success: { type: "final", tags: "ended" },
        failed: { type: "final", tags: "ended" },
      },
    },
  },
});
