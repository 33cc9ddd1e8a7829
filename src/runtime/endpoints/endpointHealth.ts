/**
 * The circuits of one process: counts how attempts at each target go, writes down when its health changes, and learns
 * from the log what other processes wrote. The log decides: who appends `endpoint.probing` first has the probe.
 */
import type { Msg, Subscription } from "nats";
import type { Logger } from "pino";
import type { EndpointState } from "../../../machines/endpoint.ts";
import { parseAggregate } from "../../domain/aggregate.ts";
import { ENDPOINT_POLICY, type EndpointPolicy } from "../../domain/endpointPolicy.ts";
import { toError } from "../../domain/errors.ts";
import { decodeEvent } from "../../log/codec.ts";
import type { LogConnection } from "../../log/connection.ts";
import type { EventLog } from "../../log/eventLog.ts";
import type { TargetRef } from "../../log/waitingRoom.ts";
import type { Circuit, HealthReport } from "../deliveries/circuit.ts";
import type { DisableWish } from "./endpointStreak.ts";
import { type DisabledAs, type HealthSetting, TargetHealth } from "./targetHealth.ts";

export interface EndpointHealthOptions {
  log: EventLog;
  connection: LogConnection;
  logger: Logger;
  policy?: EndpointPolicy;
  /** The clock, ms. */
  now?: () => number;
  /**
   * Disables a webhook if its options ask for it, and tells how; null when it stays as it is. Without this, nothing is
   * ever disabled.
   */
  onDisable?(target: TargetRef, wish: DisableWish): Promise<DisabledAs | null>;
}

type Listener = (target: TargetRef, state: EndpointState) => void;

interface Entry {
  health: TargetHealth;
  loading: Promise<void>;
}

const keyOf = ({ kind, id }: TargetRef): string => `${kind}/${id}`;

/** Health of all targets as one process sees it. */
export class EndpointHealth implements Circuit {
  readonly #setting: HealthSetting;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<Listener>();
  readonly #subscriptions: Subscription[];
  readonly #root: string;

  constructor({ log, connection, logger, policy, now, onDisable }: EndpointHealthOptions) {
    this.#setting = {
      log,
      logger,
      policy: policy ?? ENDPOINT_POLICY,
      now: now ?? Date.now,
      onDisable,
      onState: (target, state) => {
        for (const listener of this.#listeners) listener(target, state);
      },
    };
    const { nc, topology } = connection;
    this.#root = topology.events("");
    // What is published to a stream is an ordinary message too: every process hears of each transition at once.
    this.#subscriptions = ["*.endpoint.>", "*.config.>"].map((suffix) =>
      nc.subscribe(topology.events(suffix), {
        callback: (error, message) => {
          if (error === null) this.#hear(message);
        },
      }),
    );
  }

  /** @throws Unavailable when the log does not answer; the next call tries again. */
  load(workspaceId: number, target: TargetRef): Promise<void> | void {
    const key = keyOf(target);
    const known = this.#entries.get(key);
    if (known !== undefined) return known.health.isLoaded ? undefined : known.loading;
    const health = new TargetHealth(this.#setting, workspaceId, target);
    const loading = health.load().catch((error: unknown) => {
      this.#entries.delete(key);
      throw error;
    });
    this.#entries.set(key, { health, loading });
    return loading;
  }

  mayBegin(target: TargetRef): boolean {
    const state = this.#healthOf(target)?.state ?? "healthy";
    return state === "healthy" || state === "failing";
  }

  /** When a probe may begin, ms: of an open target, or of one whose probe was lost; null for others. */
  nextProbeAt(target: TargetRef): number | null {
    return this.#healthOf(target)?.nextProbeAt ?? null;
  }

  async tryProbe(target: TargetRef): Promise<boolean> {
    return (await this.#healthOf(target)?.tryProbe()) ?? false;
  }

  /** Costs a look into a map while a healthy target accepts; appends happen in the background. */
  report(target: TargetRef, report: HealthReport): void {
    this.#healthOf(target)?.report(report);
  }

  /** Calls the listener with each target whose state changed; returns how to stop. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** States of the targets that this process has had to do with, by `webhook/12`. */
  states(): Map<string, EndpointState> {
    return new Map([...this.#entries].map(([key, { health }]) => [key, health.state]));
  }

  /** Hears and begins nothing more, and waits for appends under way. */
  async close(): Promise<void> {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    await Promise.allSettled(
      [...this.#entries.values()].flatMap(({ health, loading }) => [loading, health.close()]),
    );
  }

  #healthOf(target: TargetRef): TargetHealth | undefined {
    const health = this.#entries.get(keyOf(target))?.health;
    return health?.isLoaded === true ? health : undefined;
  }

  /** A message of the log: an endpoint that moved, or a configuration that changed. */
  #hear({ subject, data }: Msg): void {
    const aggregate = parseAggregate(subject.slice(this.#root.length));
    const isEndpoint = aggregate?.kind === "endpoint";
    if (!isEndpoint && aggregate?.kind !== "config") return;
    const key = isEndpoint
      ? `${aggregate.targetKind}/${aggregate.targetId}`
      : `${aggregate.objectKind}/${aggregate.objectId}`;
    // One that is still loading has to hear it too: it may have read the log just before.
    const health = this.#entries.get(key)?.health;
    if (health === undefined) return;
    try {
      const event = decodeEvent(data, subject);
      if (isEndpoint) health.heardMove(event.version);
      else health.heardChange(event);
    } catch (error) {
      this.#setting.logger.warn({ err: toError(error), subject }, "endpoint.unreadable");
    }
  }
}
