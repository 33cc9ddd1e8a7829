/** A replay in words, for people and for programs. */
import { InvalidInput, NotFound } from "../domain/errors.ts";
import type { ReplayWatcher, ShownReplay } from "./desks.ts";
import { TimedOut } from "./failures.ts";
import { count, counted } from "./format.ts";
import { paint } from "./terminal.ts";

/** How far it is, on one line. */
export function progressText({ total, replayed, skipped }: Parameters<ReplayWatcher>[0]): string {
  const done = replayed + skipped;
  const share =
    total === null || total === 0 ? "" : ` (${Math.min(100, Math.floor((done / total) * 100))} %)`;
  const of = total === null ? counted(done, "delivery", "deliveries") : `${count(done)} of ${count(total)}`;
  return `${of}${share}${skipped > 0 ? `, ${count(skipped)} passed over` : ""}`;
}

/** How many were passed over, whatever the reason. */
export function passedOver({ skipped }: Pick<ShownReplay, "skipped">): number {
  return Object.values(skipped).reduce((sum, each) => sum + each, 0);
}

/** State and counts in words. */
export function replayText(replay: ShownReplay): string {
  const { state, replayed, cancelled_by: by } = replay;
  const color = state === "completed" ? "green" : state === "requested" ? "cyan" : "red";
  const reasons = Object.entries(replay.skipped).map(([reason, each]) => `${count(each)} ${reason}`);
  const passed = reasons.length === 0 ? "" : `; passed over: ${reasons.join(", ")}`;
  const who = by === null ? "" : ` by ${by}`;
  return `${paint(color, state)}${who}: ${counted(replayed, "delivery", "deliveries")} begun again${passed}`;
}

/** A replay as commands print it for programs. */
export function replayJson({ id, ...rest }: ShownReplay): object {
  return { replay_id: id, ...rest };
}

/** None has that id. */
export function noReplay(id: number): NotFound {
  return new NotFound(`there is no replay ${id}; \`egret replay list\` shows them`);
}

/** It cannot be cancelled any more. */
export function hasEnded({ id, state }: Pick<ShownReplay, "id" | "state">): InvalidInput {
  return new InvalidInput(`replay ${id} has ended already: ${state}`);
}

/** Its worker has not stopped in time. */
export function notStopped(id: number, timeoutMs: number): TimedOut {
  return new TimedOut(
    `replay ${id} has not stopped within ${timeoutMs / 1_000} s: is \`egret start\` with the role \`worker\` running? ` +
      "It stops by itself as soon as a worker sees the wish.",
  );
}
