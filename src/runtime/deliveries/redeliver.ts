/** Begins an ended delivery again because a person asked for it: same id, same bytes, the whole schedule once more. */
import { DELIVERY_MACHINE } from "../../../machines/delivery.ts";
import type { DeliveryAggregate } from "../../domain/aggregate.ts";
import { LogCorrupt, VersionConflict } from "../../domain/errors.ts";
import type { StoredEvent } from "../../domain/event.ts";
import type { EventLog } from "../../log/eventLog.ts";
import { decide, hasEnded, record, replay, stateName } from "../actor.ts";
import { deliveryBehaviour, type PendingData } from "./deliveryActor.ts";

/** Whether a target can be sent to: a paused one can, what comes waits for it. */
export type TargetState = "ready" | "deleted" | "disabled";

/** What redelivery asks of the configuration and of the engine. */
export interface RedeliveryDesk {
  targetState(target: Pick<DeliveryAggregate, "targetKind" | "targetId">): Promise<TargetState>;
  /** Whether the exact bytes of a batch can still be sent. */
  isBatchKept(runId: number, deliveryId: string): Promise<boolean>;
}

/** Who asked, and the replay that did it; null for one delivery alone. */
export interface AskedBy {
  by: string;
  replayId: number | null;
}

/** What became of the wish. `already` is a redelivery by the same replay, before a crash. */
export type Redelivery =
  | { kind: "redelivered"; event: StoredEvent }
  | { kind: "already" }
  | { kind: "not_found" }
  | { kind: "not_ended"; state: string }
  | { kind: "target_deleted" | "target_disabled" }
  | { kind: "not_kept"; what: "history" | "rows" };

/** Others may move the delivery at the same moment; more often than this in a row is no chance. */
const MAX_TRIES = 5;

/**
 * Appends `delivery.pending` again at the next version: a work item for whichever worker is free. Ids and bytes are
 * those of the first time (I5, I9); attempts go on counting.
 * @throws Unavailable when the log does not answer: a second try does no harm, it finds the delivery begun.
 */
export async function redeliver(
  { log, desk }: { log: EventLog; desk: RedeliveryDesk },
  aggregate: DeliveryAggregate,
  { by, replayId }: AskedBy,
): Promise<Redelivery> {
  for (let tries = 1; ; tries++) {
    const history = await wholeHistory(log, aggregate);
    if (!Array.isArray(history)) return history;
    const first = history[0]?.event;
    if (first?.type !== "delivery.pending") return { kind: "not_found" };
    if (replayId !== null && isBegunBy(history, replayId)) return { kind: "already" };
    const actor = replay(deliveryBehaviour, aggregate, history);
    if (!hasEnded(actor.snapshot)) return { kind: "not_ended", state: stateName(actor.snapshot) };
    const obstacle = await obstacleOf(desk, aggregate, first.data);
    if (obstacle !== null) return obstacle;
    const decision = decide(actor.snapshot, { type: "delivery.redelivered" });
    const redelivery = { by, job_id: replayId };
    const data: PendingData = { ...first.data, fact: "redelivered", redelivery };
    const draft = { type: "delivery.pending", machine: DELIVERY_MACHINE, data } as const;
    try {
      const { event, head } = await record(log, actor, { decision, draft });
      return { kind: "redelivered", event: { event, sequence: head.sequence } };
    } catch (error) {
      if (!(error instanceof VersionConflict) || tries === MAX_TRIES) throw error;
    }
  }
}

/** The history, or why there is none to go on from: delivery events are kept for a time only. */
async function wholeHistory(
  log: EventLog,
  aggregate: DeliveryAggregate,
): Promise<StoredEvent[] | Redelivery> {
  try {
    const history = await log.load(aggregate);
    return history.length === 0 ? { kind: "not_found" } : history;
  } catch (error) {
    if (error instanceof LogCorrupt) return { kind: "not_kept", what: "history" };
    throw error;
  }
}

/** True when the replay of that id made or remade this delivery. */
export function isBegunBy(history: readonly StoredEvent[], replayId: number): boolean {
  return history.some(
    ({ event }) => event.type === "delivery.pending" && event.data.redelivery?.job_id === replayId,
  );
}

async function obstacleOf(
  desk: RedeliveryDesk,
  { targetKind, targetId }: DeliveryAggregate,
  first: PendingData,
): Promise<Redelivery | null> {
  const state = await desk.targetState({ targetKind, targetId });
  if (state !== "ready") return { kind: `target_${state}` };
  if (targetKind === "webhook" || (await desk.isBatchKept(first.sync_run_id, first.delivery_id))) return null;
  return { kind: "not_kept", what: "rows" };
}
