/** What one process has seen of a target since it was last well, and what follows from it. Counts; appends nothing. */
import type { EndpointFact } from "../../../machines/endpoint.ts";
import type { EndpointPolicy } from "../../domain/endpointPolicy.ts";
import type { HealthReport } from "../deliveries/circuit.ts";
import type { EndpointActor, Outage } from "./endpointActor.ts";

/** Why a webhook may have to be disabled, for who knows its options to decide. */
export interface DisableWish {
  reason: "gone" | "exhausted";
  /** Deliveries lost one after the other, as far as this process saw. */
  exhaustedInARow: number;
}

/** Whether a webhook's configuration has it switched on, and if it was switched off by itself, why. */
export interface SwitchSetting {
  version: number;
  enabled: boolean;
  autoReason: "gone" | "exhausted" | null;
}

/** Failures in a row, and what waits to be told about them. */
export class Streak {
  #failures = 0;
  #sinceMs: number | null = null;
  #lastFailureMs = 0;
  #lastError: string | null = null;
  #lastHttpStatus: number | null = null;
  #exhausted = 0;
  #hasAccepted = false;
  /** Number of the probe that this process makes, and whether it failed. */
  #probe: { number: number; hasFailed: boolean } | null = null;
  wish: DisableWish | null = null;

  /** True when an acceptance would tell nothing new. */
  get isClear(): boolean {
    return this.#failures === 0 && this.#exhausted === 0;
  }

  get outage(): Outage {
    return {
      consecutiveFailures: this.#failures,
      sinceMs: this.#sinceMs,
      lastError: this.#lastError,
      lastHttpStatus: this.#lastHttpStatus,
    };
  }

  clear(): void {
    this.#failures = 0;
    this.#sinceMs = null;
    this.#exhausted = 0;
    this.#hasAccepted = false;
    this.#probe = null;
    this.wish = null;
  }

  /** An acceptance ends the streak; what it was is kept until the recovery is written down. */
  accepted(): void {
    this.#hasAccepted = true;
    this.#exhausted = 0;
    this.wish = null;
  }

  failed({ httpStatus, error, atMs, isFirst, exhausted }: HealthReport): void {
    // The recovery comes first: it is being written down, and this failure will not be the last.
    if (this.#hasAccepted) return;
    this.#failures += 1;
    this.#sinceMs = Math.min(this.#sinceMs ?? atMs, atMs);
    this.#lastFailureMs = Math.max(this.#lastFailureMs, atMs);
    this.#lastError = error;
    this.#lastHttpStatus = httpStatus;
    if (exhausted) this.#exhausted += 1;
    // Of the requests under way only a first attempt can be the probe: nothing else was let through.
    if (isFirst && this.#probe !== null) this.#probe.hasFailed = true;
    if (httpStatus === 410) this.wish = { reason: "gone", exhaustedInARow: this.#exhausted };
    else if (exhausted && this.wish?.reason !== "gone") {
      this.wish = { reason: "exhausted", exhaustedInARow: this.#exhausted };
    }
  }

  probeBegan(number: number): void {
    this.#probe = { number, hasFailed: false };
  }

  /** Takes over what the log says after a transition, its own or another process's. */
  follow({ state, context, last }: EndpointActor): void {
    if (state === "healthy") return this.clear();
    const { consecutive_failures, since, last_error, last_http_status } = last.data;
    if (consecutive_failures > this.#failures) {
      this.#failures = consecutive_failures;
      this.#lastError = last_error;
      this.#lastHttpStatus = last_http_status;
    }
    if (since !== null) this.#sinceMs = Math.min(this.#sinceMs ?? Infinity, Date.parse(since));
    if (state !== "probing" || this.#probe?.number !== context.probes) this.#probe = null;
  }

  /** The fact that has to be written down now, or null; `actor` is null while the target has no history. */
  due(actor: EndpointActor | null, policy: EndpointPolicy): EndpointFact | null {
    switch (actor?.state ?? "healthy") {
      case "healthy":
        if (this.#hasAccepted) this.clear();
        return this.#failures >= policy.failingAfterFailures &&
          this.#lastFailureMs >= restsUntilMs(actor, policy)
          ? { type: "failures.repeated" }
          : null;
      case "failing": {
        if (this.#hasAccepted) return { type: "target.accepted" };
        const lastedMs = this.#lastFailureMs - (this.#sinceMs ?? this.#lastFailureMs);
        const isLong = lastedMs >= policy.openAfterMs && this.#failures >= policy.openAfterFailures;
        return isLong ? { type: "failures.lasted" } : null;
      }
      case "open":
        return this.#hasAccepted ? { type: "target.accepted" } : null;
      case "probing":
        if (this.#hasAccepted) return { type: "target.accepted" };
        if (this.#probe?.hasFailed !== true) return null;
        return { type: "probe.failed", probe: this.#probe.number };
      case "disabled":
        return null;
    }
  }
}

/** A target that has just recovered and fails again is told of later, or one that flaps would fill the log. */
function restsUntilMs(actor: EndpointActor | null, policy: EndpointPolicy): number {
  if (actor?.last.type !== "endpoint.healthy" || actor.last.data.fact === "created") return 0;
  return Date.parse(actor.last.time) + policy.restMs;
}

/** When the next probe may begin, ms: the one that is due, or the one that follows a probe that nobody reported. */
export function nextProbeAtMs(actor: EndpointActor | null, policy: EndpointPolicy): number | null {
  if (actor?.last.type === "endpoint.open") return Date.parse(actor.last.data.next_probe_at);
  if (actor?.last.type === "endpoint.probing") return Date.parse(actor.last.time) + policy.probeTimeoutMs;
  return null;
}

/** The fact by which an endpoint follows its webhook's configuration, or null when it does already. */
export function dueSwitch(actor: EndpointActor | null, setting: SwitchSetting | null): EndpointFact | null {
  if (setting === null || setting.version <= (actor?.context.configVersion ?? 0)) return null;
  const configVersion = setting.version;
  const isDisabled = actor?.state === "disabled";
  if (setting.autoReason !== null && !isDisabled) return { type: "target.disabled", configVersion };
  return setting.enabled && isDisabled ? { type: "target.enabled", configVersion } : null;
}
