/** The event log: append at an expected version, load an aggregate's history, follow a stream. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "nats";
import { type Aggregate, aggregateName } from "../domain/aggregate.ts";
import { LogCorrupt, Unavailable, VersionConflict } from "../domain/errors.ts";
import {
  type AnyEvent,
  type EventData,
  type EventType,
  type StoredEvent,
  subjectWord,
  subjectWords,
} from "../domain/event.ts";
import { AppendHeaders } from "./appendHeaders.ts";
import { decodeEvent, encodeEvent } from "./codec.ts";
import type { LogConnection } from "./connection.ts";
import { newEventId } from "./eventId.ts";
import { loadSubjects } from "./load.ts";
import { type PublishAck, Publisher, PublishRefused } from "./publisher.ts";
import type { StreamName, Topology } from "./topology.ts";

/** Where an aggregate's history ends: what the next append expects. A new aggregate has NEW_AGGREGATE. */
export interface Head {
  version: number;
  /** Stream sequence of its last event; 0 when there is none. */
  sequence: number;
}

export const NEW_AGGREGATE: Head = { version: 0, sequence: 0 };

/** An event before it has its id, time and place. */
export interface EventDraft<T extends EventType = EventType> {
  type: T;
  machine: string | null;
  state: string;
  data: EventData<T>;
  /** Given when the fact has an id or a time already; else the log gives them. */
  id?: string | undefined;
  time?: Date | undefined;
  traceparent?: string | undefined;
}

/** Codes by which the server says that the aggregate has moved: alone, and in a cluster. */
const WRONG_LAST_SEQUENCE = new Set([10071, 10164]);

/** An append whose outcome is unknown is settled or tried again for this long, ms: a leader change took 6.3 s. */
const APPEND_PATIENCE_MS = 15_000;
const RETRY_PAUSE_MS = 200;
/** Histories of kinds with more subjects than this are asked for by one wildcard. */
const MOST_SUBJECTS = 6;

const isJustAppended = (event: AnyEvent, id: string): boolean => event.id === id;

/** Appends to, loads from and follows the event streams of one topology. */
export class EventLog {
  readonly topology: Topology;
  readonly #jsm: JetStreamManager;
  readonly #nc: NatsConnection;
  readonly #publisher: Publisher;

  constructor(connection: LogConnection) {
    this.topology = connection.topology;
    this.#jsm = connection.jsm;
    this.#nc = connection.nc;
    this.#publisher = new Publisher(connection.nc);
  }

  /**
   * Appends one event right after `head` (I2).
   * @throws VersionConflict when someone else appended first; Unavailable when NATS did not answer for
   * 15 s: the event then stands in the log or not, and a reload tells.
   */
  async append<T extends EventType>(
    aggregate: Aggregate,
    draft: EventDraft<T>,
    head: Head,
  ): Promise<StoredEvent> {
    const id = draft.id ?? newEventId();
    const event = {
      specversion: "1.0",
      id,
      source: "egret",
      type: draft.type,
      subject: aggregateName(aggregate),
      time: (draft.time ?? new Date()).toISOString(),
      datacontenttype: "application/json",
      version: head.version + 1,
      machine: draft.machine,
      state: draft.state,
      ...(draft.traceparent === undefined ? {} : { traceparent: draft.traceparent }),
      data: draft.data,
    } as AnyEvent;
    const root = this.topology.aggregate(aggregate);
    const expectations = new AppendHeaders({
      messageId: `${event.subject}:${event.version}:${id}`,
      lastSequence: head.sequence,
      lastOf: `${root}.*`,
    });
    const subject = `${root}.${subjectWord(draft.type)}`;
    const payload = encodeEvent(event);
    const deadline = Date.now() + APPEND_PATIENCE_MS;
    for (;;) {
      try {
        const ack: PublishAck = await this.#publisher.publish(subject, payload, expectations);
        return { event, sequence: ack.sequence };
      } catch (error) {
        const settled = await this.#settle({ aggregate, event, error, deadline });
        if (settled !== null) return settled;
      }
    }
  }

  /** A refusal can be the answer to our own lost acknowledgement: what stands in the log decides. */
  async #settle(failed: {
    aggregate: Aggregate;
    event: AnyEvent;
    error: unknown;
    deadline: number;
  }): Promise<StoredEvent | null> {
    const { aggregate, event, error, deadline } = failed;
    const isConflict = error instanceof PublishRefused && WRONG_LAST_SEQUENCE.has(error.apiCode);
    if (!isConflict && !(error instanceof Unavailable)) throw error;
    const last = await this.last(aggregate).catch((readError: unknown) => {
      if (isConflict || Date.now() > deadline || this.#nc.isClosed()) throw readError;
      return null;
    });
    if (last !== null && isJustAppended(last.event, event.id)) return last;
    if (last !== null && last.event.version >= event.version) {
      const history = await this.load(aggregate);
      const ours = history.find((stored) => isJustAppended(stored.event, event.id));
      if (ours !== undefined) return ours;
    }
    if (isConflict) {
      throw new VersionConflict(`${event.subject} has moved past version ${event.version - 1}`, {
        cause: error,
      });
    }
    if (Date.now() > deadline || this.#nc.isClosed()) throw error;
    await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
    return null;
  }

  /** The last event of an aggregate, or null when it has none. */
  async last(aggregate: Aggregate): Promise<StoredEvent | null> {
    const stream = this.topology.streamOf(aggregate);
    const subject = `${this.topology.aggregate(aggregate)}.*`;
    const message = await this.#jsm.direct
      .getMessage(stream, { last_by_subj: subject })
      .catch((cause: unknown) => {
        throw new Unavailable(`the log cannot be read now: ${aggregateName(aggregate)}`, { cause });
      });
    if (message === null) return null;
    return { event: decodeEvent(message.data, `${stream} #${message.seq}`), sequence: message.seq };
  }

  /**
   * The whole history of an aggregate, oldest first; empty when there is none.
   * @throws LogCorrupt when its versions are not 1, 2, 3, … without a gap.
   */
  async load(aggregate: Aggregate): Promise<StoredEvent[]> {
    const last = await this.last(aggregate);
    if (last === null) return [];
    const count = last.event.version;
    if (count === 1) return [last];
    const root = this.topology.aggregate(aggregate);
    const words = subjectWords(aggregate.kind);
    // A run has a dozen: so many questions cost more than what the wildcard costs in its stream, and runs are few.
    const subjects = (words.length > MOST_SUBJECTS ? ["*"] : words).map((word) => `${root}.${word}`);
    const found = await loadSubjects(this.#jsm, this.topology.streamOf(aggregate), { subjects, count });
    // What was appended since is the next load's affair.
    const history = found.filter(({ sequence }) => sequence <= last.sequence);
    checkGapless(aggregate, history);
    if (history.length < count) {
      throw new LogCorrupt(
        `${aggregateName(aggregate)} has ${history.length} of its ${count} events: some are missing`,
      );
    }
    return history;
  }

  /** When a stream was made, and what it holds now. A stream that was made anew has another `created`. */
  async info(stream: StreamName): Promise<{ created: Date; firstSequence: number; lastSequence: number }> {
    const { created, state } = await this.#jsm.streams.info(this.topology.eventStreams[stream]);
    return { created: new Date(created), firstSequence: state.first_seq, lastSequence: state.last_seq };
  }

  /** Stops publishing; the connection itself belongs to who opened it. */
  close(): void {
    this.#publisher.close();
  }
}

/** Where a history ends. */
export function headOf(history: readonly StoredEvent[]): Head {
  const last = history.at(-1);
  return last === undefined ? NEW_AGGREGATE : { version: last.event.version, sequence: last.sequence };
}

/** @throws LogCorrupt unless the versions are 1, 2, 3, …: an event is missing or doubled (I2). */
export function checkGapless(aggregate: Aggregate, history: readonly StoredEvent[]): void {
  history.forEach(({ event }, index) => {
    if (event.version !== index + 1) {
      throw new LogCorrupt(
        `${aggregateName(aggregate)} has version ${event.version} where ${index + 1} belongs: an event is missing or doubled`,
      );
    }
  });
}
