/** What the delivery lanes ask of a target's health, and tell it. */
import type { TargetRef } from "../../log/waitingRoom.ts";

/** How an attempt went, as far as it says something about the target. */
export interface HealthReport {
  /** The target answered as one that is there: accepted, or refused these rows. */
  ok: boolean;
  httpStatus: number | null;
  error: string | null;
  /** When the answer or the time-out came, ms. */
  atMs: number;
  /** The first attempt of a delivery, or of a redelivery: what a probe is. */
  isFirst: boolean;
  /** This failure was the delivery's last. */
  exhausted: boolean;
}

/** A circuit per target. It holds back first attempts only: a delivery that has begun keeps its schedule. */
export interface Circuit {
  /** Must have resolved once for a target before anything else is asked about it; quick after that. */
  load(workspaceId: number, target: TargetRef): Promise<void> | void;
  mayBegin(target: TargetRef): boolean;
  /** True for the one caller in all processes whose first attempt is the probe that is due now. */
  tryProbe(target: TargetRef): Promise<boolean>;
  report(target: TargetRef, report: HealthReport): void;
  /** Calls the listener with each target whose state changed; returns how to stop. */
  onChange(listener: (target: TargetRef) => void): () => void;
}
