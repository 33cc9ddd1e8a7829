/** The streams and durable consumers of the log, as data: names, subjects, limits. */
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import type { Aggregate } from "../domain/aggregate.ts";
import { aggregateSubject } from "../domain/aggregate.ts";

/** The two streams that hold events; commands have a stream of their own. */
export type StreamName = "runs" | "deliveries";

/** Limits of the streams that an operator may set. */
export interface LogLimits {
  /** Each event stream refuses appends beyond this size, bytes; the command queue has a sixteenth of it. */
  maxBytes: number;
  /** Delivery events older than this are dropped; days. */
  deliveryRetentionDays: number;
  /** Copies of each stream in a cluster: 1 or 3. */
  replicas: number;
}

export const DEFAULT_LOG_LIMITS: LogLimits = {
  maxBytes: 4 * 1024 ** 3,
  deliveryRetentionDays: 30,
  replicas: 1,
};

const NANOS_PER_MS = 1_000_000;
const NANOS_PER_DAY = 86_400_000 * NANOS_PER_MS;

/** A held message that its worker stops renewing goes to another worker after this time, ms. */
export const ACK_WAIT_MS = 5_000;

/** How often a worker renews the messages it holds, ms. */
export const RENEW_EVERY_MS = 1_500;

/** Names and subjects under one prefix: `egret` in production, one of its own for each test file. */
export class Topology {
  readonly prefix: string;
  readonly commandStream: string;
  readonly waitingStream: string;
  readonly eventStreams: Readonly<Record<StreamName, string>>;

  constructor(prefix = "egret") {
    this.prefix = prefix;
    const upper = prefix.toUpperCase();
    this.commandStream = `${upper}_COMMANDS`;
    this.waitingStream = `${upper}_WAITING`;
    this.eventStreams = { runs: `${upper}_RUNS`, deliveries: `${upper}_DELIVERIES` };
  }

  /** Root of all event subjects; `suffix` may hold wildcards. */
  events(suffix: string): string {
    return `${this.prefix}.events.${suffix}`;
  }

  /** Subject on which a command is published. */
  command(workspaceId: number | string, verb: string): string {
    return `${this.prefix}.commands.${workspaceId}.sync.${verb}`;
  }

  /** Subject under which deliveries of a target wait; either part may be `*`. */
  waiting(targetKind: string, targetId: number | "*"): string {
    return `${this.prefix}.waiting.${targetKind}.${targetId}`;
  }

  /** Subject of one aggregate's events: append `.<word>` or a wildcard. */
  aggregate(aggregate: Aggregate): string {
    return this.events(aggregateSubject(aggregate));
  }

  /** Name of the stream that holds an aggregate's events. */
  streamOf(aggregate: Aggregate): string {
    return this.eventStreams[aggregate.kind === "delivery" ? "deliveries" : "runs"];
  }

  /** Settings of the streams. The log refuses new facts when full: the default would drop the oldest. */
  streamConfigs(limits: LogLimits): (Partial<StreamConfig> & { name: string })[] {
    const common = {
      storage: StorageType.File,
      discard: DiscardPolicy.New,
      max_bytes: limits.maxBytes,
      num_replicas: limits.replicas,
      deny_delete: true,
      deny_purge: true,
      allow_direct: true,
      duplicate_window: 120_000 * NANOS_PER_MS,
    };
    return [
      {
        ...common,
        name: this.commandStream,
        max_bytes: Math.ceil(limits.maxBytes / 16),
        subjects: [`${this.prefix}.commands.>`],
        retention: RetentionPolicy.Workqueue,
      },
      {
        ...common,
        name: this.waitingStream,
        deny_delete: false,
        subjects: [`${this.prefix}.waiting.>`],
        retention: RetentionPolicy.Workqueue,
      },
      {
        ...common,
        name: this.eventStreams.runs,
        subjects: ["run", "trial", "alert", "config", "command", "endpoint", "replay"].map((kind) =>
          this.events(`*.${kind}.>`),
        ),
        retention: RetentionPolicy.Limits,
      },
      {
        ...common,
        name: this.eventStreams.deliveries,
        subjects: [this.events("*.delivery.>")],
        retention: RetentionPolicy.Limits,
        max_age: limits.deliveryRetentionDays * NANOS_PER_DAY,
      },
    ];
  }

  /** The durable consumers that workers share, each with its stream. */
  consumerConfigs(): { stream: string; config: Partial<ConsumerConfig> & { durable_name: string } }[] {
    const shared = {
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: ACK_WAIT_MS * NANOS_PER_MS,
      max_deliver: -1,
      // An item that waits to be tried again holds a slot: too few, and those starve the rest.
      max_ack_pending: 100_000,
    };
    const filtered = (stream: string, durable_name: string, filter: string) => ({
      stream,
      config: { ...shared, durable_name, filter_subject: this.events(filter) },
    });
    return [
      { stream: this.commandStream, config: { ...shared, durable_name: CONSUMERS.commands } },
      filtered(this.eventStreams.runs, CONSUMERS.runs, "*.run.*.*.triggered"),
      {
        stream: this.eventStreams.runs,
        config: {
          ...shared,
          durable_name: CONSUMERS.notifier,
          filter_subjects: [
            ...["triggered", "started", "completed", "success", "failed"].map((word) => `*.run.*.*.${word}`),
            ...["raised", "resolved"].map((word) => `*.alert.*.*.${word}`),
          ].map((suffix) => this.events(suffix)),
        },
      },
      {
        stream: this.eventStreams.runs,
        config: {
          ...shared,
          durable_name: CONSUMERS.alerts,
          filter_subjects: [
            ...["triggered", "started", "checked", "success", "failed"].map((word) => `*.run.*.*.${word}`),
            ...["updated", "deleted"].map((word) => `*.config.sync.*.${word}`),
          ].map((suffix) => this.events(suffix)),
        },
      },
      {
        stream: this.eventStreams.runs,
        config: {
          ...shared,
          durable_name: CONSUMERS.sequences,
          // Made where runs have ended before: those are no reason to start anything now.
          deliver_policy: DeliverPolicy.New,
          filter_subject: this.events("*.run.*.*.success"),
        },
      },
      filtered(this.eventStreams.runs, CONSUMERS.replays, "*.replay.*.requested"),
      filtered(this.eventStreams.runs, CONSUMERS.trials, "*.trial.*.*.requested"),
      filtered(this.eventStreams.deliveries, CONSUMERS.firstAttempts, "*.delivery.*.*.*.pending"),
      filtered(this.eventStreams.deliveries, CONSUMERS.retries, "*.delivery.*.*.*.retrying"),
    ];
  }
}

/** Names of the durable consumers; targets that hold deliveries up have one each besides, see waitingRoom.ts. */
export const CONSUMERS = {
  commands: "command_worker",
  runs: "run_worker",
  notifier: "notifier",
  alerts: "alert_evaluator",
  sequences: "sequence_trigger",
  replays: "replay_worker",
  trials: "trial_worker",
  firstAttempts: "delivery_first",
  retries: "delivery_retry",
} as const;
