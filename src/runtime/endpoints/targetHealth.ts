/**
 * The health of one target as one process sees it: what it counts, what the log said last, and the appends that follow,
 * one after the other.
 */
import type { Logger } from "pino";
import type { EndpointFact, EndpointState } from "../../../machines/endpoint.ts";
import type { EndpointAggregate } from "../../domain/aggregate.ts";
import type { EndpointPolicy } from "../../domain/endpointPolicy.ts";
import { LogCorrupt, toError, VersionConflict } from "../../domain/errors.ts";
import type { AnyEvent } from "../../domain/event.ts";
import type { EventLog } from "../../log/eventLog.ts";
import type { TargetRef } from "../../log/waitingRoom.ts";
import type { HealthReport } from "../deliveries/circuit.ts";
import { type EndpointActor, readEndpoint } from "./endpointActor.ts";
import { type DisableWish, dueSwitch, nextProbeAtMs, Streak, type SwitchSetting } from "./endpointStreak.ts";
import { moveEndpoint, switchSetting } from "./endpointTransitions.ts";

/** What a webhook that was disabled has to be remembered by: the version of its configuration, and why. */
export interface DisabledAs {
  configVersion: number;
  reason: DisableWish["reason"];
}

/** What all targets of a process share. */
export interface HealthSetting {
  log: EventLog;
  logger: Logger;
  policy: EndpointPolicy;
  /** The clock, ms. */
  now: () => number;
  /** Unset where nothing is ever disabled. */
  onDisable: ((target: TargetRef, wish: DisableWish) => Promise<DisabledAs | null>) | undefined;
  onState(target: TargetRef, state: EndpointState): void;
}

/** After an append that failed, the next try waits this long, ms. */
const AFTER_ERROR_MS = 1_000;
/** How often a disabled target for which deliveries wait is looked up, in case word of its enabling was lost, ms. */
const LOOK_AGAIN_MS = 5_000;
/** A replica that lags behind shows an old state again and again. */
const MOST_CONFLICTS = 10;

const nothing = async (): Promise<void> => undefined;

/** One target. */
export class TargetHealth {
  readonly #setting: HealthSetting;
  readonly #target: TargetRef;
  readonly #aggregate: EndpointAggregate;
  readonly #streak = new Streak();
  /** Null while the log has nothing: healthy. */
  #actor: EndpointActor | null = null;
  #switch: SwitchSetting | null = null;
  #isLoaded = false;
  #isClosed = false;
  /** Work is under way; what becomes due meanwhile is done in the same go. */
  #isBusy = false;
  #work: Promise<void> = Promise.resolve();
  /** Someone else moved it: it is read before anything is decided. */
  #isStale = false;
  /** Earlier than the log says, after its configuration changed; ms. */
  #probeFromMs: number | null = null;
  /** After an error nothing is tried before, ms. */
  #restsUntilMs = 0;
  /** When it may be asked again whether the target is to be disabled, or was enabled; ms. */
  #asksFromMs = 0;

  constructor(setting: HealthSetting, workspaceId: number, target: TargetRef) {
    this.#setting = setting;
    this.#target = target;
    this.#aggregate = { kind: "endpoint", workspaceId, targetKind: target.kind, targetId: target.id };
  }

  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  get state(): EndpointState {
    return this.#actor?.state ?? "healthy";
  }

  /** When a probe may begin, ms: of an open target, or of one whose probe was lost; null for others. */
  get nextProbeAt(): number | null {
    const atMs = nextProbeAtMs(this.#actor, this.#setting.policy);
    return atMs === null ? null : Math.min(atMs, this.#probeFromMs ?? atMs);
  }

  /** @throws Unavailable when the log does not answer. */
  async load(): Promise<void> {
    this.#isBusy = true;
    try {
      await this.#read();
      await this.#readSwitch();
      this.#isLoaded = true;
    } catch (error) {
      if (!(error instanceof LogCorrupt)) throw error;
      // Health is a help: a history that this version cannot read must not keep deliveries back.
      this.#setting.logger.error({ err: error, target: this.#target }, "endpoint.unreadable");
      this.#isLoaded = true;
    } finally {
      this.#isBusy = false;
    }
    this.#wake();
  }

  report(report: HealthReport): void {
    if (!report.ok) this.#streak.failed(report);
    else if (this.state === "healthy" && !this.#isBusy) return this.#streak.clear();
    else this.#streak.accepted();
    this.#wake();
  }

  /** True when this process has won the probe that is due. */
  async tryProbe(): Promise<boolean> {
    if (this.state === "disabled") this.#lookAgain();
    // What is under way may be another caller's probe, or what makes one due.
    while (this.#isProbeDue() && this.#isBusy) await this.#work;
    if (!this.#isProbeDue()) return false;
    const probe = (this.#actor?.context.probes ?? 0) + 1;
    let isOurs = false;
    await this.#begin(async () => {
      isOurs = await this.#move({ type: "probe.begun", probe });
      if (isOurs) this.#streak.probeBegan(probe);
    });
    return isOurs;
  }

  /** Some process wrote that version of the endpoint: this one perhaps. */
  heardMove(version: number): void {
    this.#isStale ||= version > (this.#actor?.head.version ?? 0);
    this.#wake();
  }

  /** The target's configuration changed. */
  heardChange(event: AnyEvent): void {
    // Who disabled it writes that down itself, with what it saw; everybody may enable it.
    if (switchSetting(event)?.enabled === true) this.#learn(event);
    // What was changed is worth a try at once: the address may have been what was wrong.
    if (this.state === "open") this.#probeFromMs = this.#setting.now();
    this.#wake();
  }

  /** Begins nothing more, and waits for what is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#work;
  }

  #isProbeDue(): boolean {
    const atMs = this.nextProbeAt;
    return atMs !== null && atMs <= this.#setting.now() && !this.#isClosed;
  }

  async #read(): Promise<void> {
    this.#isStale = false;
    try {
      this.#adopt(await readEndpoint(this.#setting.log, this.#aggregate, this.#actor));
    } catch (error) {
      this.#isStale = true;
      throw error;
    }
  }

  /** What the configuration says by now, in case whoever should have followed it did not. */
  async #readSwitch(): Promise<void> {
    if (this.#target.kind !== "webhook") return;
    const { workspaceId, targetId: objectId } = this.#aggregate;
    const config = { kind: "config", workspaceId, objectKind: "webhook", objectId } as const;
    const last = await this.#setting.log.last(config);
    if (last !== null) this.#learn(last.event);
  }

  #learn(event: AnyEvent): void {
    const setting = switchSetting(event);
    if (setting !== null && setting.version > (this.#switch?.version ?? 0)) this.#switch = setting;
  }

  #adopt(actor: EndpointActor | null): void {
    const before = this.state;
    if (actor === this.#actor || actor === null) return;
    this.#actor = actor;
    this.#streak.follow(actor);
    if (actor.state === before) return;
    this.#probeFromMs = null;
    this.#setting.onState(this.#target, actor.state);
  }

  /** Goes on in the background if anything is due and nothing is under way. */
  #wake(): void {
    if (this.#isBusy || !this.#isLoaded || this.#isClosed) return;
    if (this.#setting.now() < this.#restsUntilMs) return;
    if (this.#isStale || this.#dueFact() !== null || this.#isWishDue()) void this.#begin(nothing);
  }

  #lookAgain(): void {
    const now = this.#setting.now();
    if (this.#isBusy || this.#isClosed || now < this.#asksFromMs) return;
    this.#asksFromMs = now + LOOK_AGAIN_MS;
    this.#isStale = true;
    void this.#begin(() => this.#readSwitch());
  }

  /** Does one thing, and then what has become due meanwhile; never rejects. */
  #begin(first: () => Promise<void>): Promise<void> {
    this.#isBusy = true;
    this.#work = this.#run(first);
    return this.#work;
  }

  async #run(first: () => Promise<void>): Promise<void> {
    try {
      await first();
      for (let conflicts = 0; ; ) {
        if (this.#isStale) await this.#read();
        const fact = this.#dueFact();
        if (conflicts > MOST_CONFLICTS)
          throw new VersionConflict("the endpoint moves faster than it is read");
        if (fact !== null) conflicts += (await this.#move(fact)) ? 0 : 1;
        else if (this.#isWishDue()) await this.#askToDisable();
        else if (!this.#isStale) return;
      }
    } catch (error) {
      // What was due is due still, and there may be no further report.
      this.#restsUntilMs = this.#setting.now() + AFTER_ERROR_MS;
      setTimeout(() => this.#tryAgain(), AFTER_ERROR_MS).unref();
      this.#setting.logger.warn({ err: toError(error), target: this.#target }, "endpoint.not_recorded");
    } finally {
      this.#isBusy = false;
    }
  }

  #tryAgain(): void {
    this.#restsUntilMs = 0;
    this.#wake();
  }

  #dueFact(): EndpointFact | null {
    return dueSwitch(this.#actor, this.#switch) ?? this.#streak.due(this.#actor, this.#setting.policy);
  }

  #isWishDue(): boolean {
    const { onDisable, now } = this.#setting;
    if (this.#streak.wish === null || onDisable === undefined || this.#target.kind !== "webhook")
      return false;
    return this.state !== "disabled" && now() >= this.#asksFromMs;
  }

  async #askToDisable(): Promise<void> {
    const { onDisable, now, policy } = this.#setting;
    const { wish } = this.#streak;
    if (wish === null) return;
    this.#streak.wish = null;
    this.#asksFromMs = now() + policy.askEveryMs;
    const disabled = await onDisable?.(this.#target, wish);
    if (!disabled) return;
    const { configVersion: version, reason: autoReason } = disabled;
    this.#switch = { version, enabled: false, autoReason };
  }

  /** Appends the event of a fact; false when someone else moved the endpoint first. */
  async #move(fact: EndpointFact): Promise<boolean> {
    const { log, logger, now, policy } = this.#setting;
    const reason = this.#switch?.autoReason ?? "exhausted";
    const telling = { outage: this.#streak.outage, nowMs: now(), policy, reason } as const;
    try {
      const moved = await moveEndpoint(log, {
        aggregate: this.#aggregate,
        actor: this.#actor,
        fact,
        telling,
      });
      this.#adopt(moved);
      const { data, type } = moved.last;
      // Each transition is logged once in the cluster: by the process that wrote it.
      logger[moved.effects.includes("alert") ? "warn" : "info"](data, type);
      return true;
    } catch (error) {
      if (!(error instanceof VersionConflict)) throw error;
      this.#isStale = true;
      return false;
    }
  }
}
