/** How a replay's events and its machine's facts correspond. */
import { REPLAY_MACHINE, type ReplayFact, replayMachine } from "../../../machines/replay.ts";
import type { ReplayAggregate } from "../../domain/aggregate.ts";
import { LogCorrupt } from "../../domain/errors.ts";
import type { AnyEvent } from "../../domain/event.ts";
import type { Behaviour } from "../actor.ts";
import type { ReplayEnd } from "./replayStore.ts";

export const replayBehaviour: Behaviour<ReplayFact> = {
  name: REPLAY_MACHINE,
  machine: replayMachine,
  input: () => undefined,
  fact: (event) => {
    if (!isReplayEnd(event)) throw new LogCorrupt(`${event.type} is no event of a replay`);
    return { type: event.type, replayed: event.data.replayed };
  },
};

/** True for an event that ends a replay. */
export function isReplayEnd(event: AnyEvent): event is ReplayEnd & AnyEvent {
  return (
    event.type === "replay.completed" || event.type === "replay.failed" || event.type === "replay.cancelled"
  );
}

/** The aggregate of a replay. */
export function replayAggregate(ids: { workspace_id: number; replay_id: number }): ReplayAggregate {
  return { kind: "replay", workspaceId: ids.workspace_id, replayId: ids.replay_id };
}
