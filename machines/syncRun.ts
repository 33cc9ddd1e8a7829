/** The statechart of one run: one execution of a sync, from its trigger to success or failure. */
import { assign, setup } from "xstate";

/** Version of this statechart, written into each event as `machine: syncRun@2`. Since 2: `canceling`, `skipped`. */
export const SYNC_RUN_MACHINE = "syncRun@2";

/** What can happen to a run after it was triggered. */
export type SyncRunFact =
  | { type: "sync.started" }
  | { type: "sync.checked" }
  | { type: "sync.snapshotted" }
  | { type: "sync.planned"; batches: number }
  | { type: "sync.loaded" }
  | { type: "sync.cancel_requested" }
  | { type: "sync.completed"; status: "ok" | "emergency" }
  | { type: "sync.success" }
  | { type: "sync.failed" };

/** What a run remembers: how many batches its plan has, and how it ended. */
export interface SyncRunContext {
  /** True when it never was to begin: another run of its sync was under way. */
  isSkipped: boolean;
  batches: number;
  status: "ok" | "emergency" | null;
}

const machine = setup({
  // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- xstate infers its types from this cast
  types: {} as { context: SyncRunContext; events: SyncRunFact; input: { isSkipped?: boolean } | undefined },
  guards: {
    isSkipped: ({ context }) => context.isSkipped,
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
    /** Effect: nothing new is sent, requests under way end and count, then the run completes as canceled. */
    cancel: () => undefined,
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
const cancelable = { "sync.cancel_requested": "#syncRun.canceling" } as const;

/**
 * triggered -> started (checking, snapshotting, diffing, loading, committing) -> completed -> success or failed.
 * A run may fail from any state before `completed`, and be cancelled from any before `committing`, by way of
 * `canceling`; it ends well only from `committing`. One that finds another run of its sync under way is `skipped`.
 */
export const syncRunMachine = machine.createMachine({
  id: "syncRun",
  context: ({ input }) => ({ isSkipped: input?.isSkipped ?? false, batches: 0, status: null }),
  initial: "arriving",
  states: {
    arriving: { always: [{ guard: "isSkipped", target: "skipped" }, { target: "triggered" }] },
    skipped: { type: "final", tags: "ended" },
    triggered: { entry: "start", on: { "sync.started": "started", ...cancelable, ...failing } },
    started: {
      initial: "checking",
      on: failing,
      states: {
        checking: { entry: "check", on: { "sync.checked": "snapshotting", ...cancelable } },
        snapshotting: { entry: "snapshot", on: { "sync.snapshotted": "diffing", ...cancelable } },
        diffing: {
          entry: "plan",
          on: { "sync.planned": { target: "loading", actions: "rememberPlan" }, ...cancelable },
        },
        loading: { entry: "load", on: { "sync.loaded": "committing", ...cancelable } },
        committing: { entry: "commit", on: { "sync.completed": { guard: "isOk", ...completing } } },
      },
    },
    canceling: { entry: "cancel", on: failing },
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
