/** Reads all messages of a subject filter by batch direct get, which any replica answers without a consumer. */
import type { DirectBatchOptions, JetStreamManager, StoredMsg } from "@nats-io/jetstream";
import { toError, Unavailable } from "../domain/errors.ts";
import type { StoredEvent } from "../domain/event.ts";
import { decodeEvent } from "./codec.ts";

const NOT_FOUND = /no messages|message not found|404/i;

/**
 * The first `count` events on `filter`, oldest first; fewer when there are fewer.
 * The count matters: with a wildcard, a batch that is not full makes the server search to the end of the stream (94 ms among 360,000).
 */
export async function loadFirst(
  jsm: JetStreamManager,
  stream: string,
  { filter, count }: { filter: string; count: number },
): Promise<StoredEvent[]> {
  const options = { seq: 1, next_by_subj: filter, batch: count } as DirectBatchOptions;
  const messages = await nextBatch(jsm, stream, options);
  return messages.map((message) => ({
    event: decodeEvent(message.data, `${stream} #${message.seq}`),
    sequence: message.seq,
  }));
}

/**
 * Every event on these subjects, oldest first; at most `count` of each. The server finds a whole subject in its index; for
 * one with a wildcard it goes through a block message by message as soon as most have a subject of their own, as
 * deliveries do. That took some 20 ms of its time each, and thousands that came back after crashes kept it from all else.
 */
export async function loadSubjects(
  jsm: JetStreamManager,
  stream: string,
  { subjects, count }: { subjects: readonly string[]; count: number },
): Promise<StoredEvent[]> {
  const found = await Promise.all(
    subjects.map((subject) => loadFirst(jsm, stream, { filter: subject, count })),
  );
  return found.flat().sort((a, b) => a.sequence - b.sequence);
}

/** Up to `count` events on `filter`, oldest first, from a sequence or an instant on. */
export async function loadPage(
  jsm: JetStreamManager,
  stream: string,
  { filter, from, count }: { filter: string; from: number | Date; count: number },
): Promise<StoredEvent[]> {
  const start = typeof from === "number" ? { seq: from } : { start_time: from };
  const options = { ...start, next_by_subj: filter, batch: count } as DirectBatchOptions;
  const messages = await nextBatch(jsm, stream, options);
  return messages.map((message) => ({
    event: decodeEvent(message.data, `${stream} #${message.seq}`),
    sequence: message.seq,
  }));
}

// The callback form: the iterator form leaks its subscription.
function nextBatch(jsm: JetStreamManager, stream: string, options: DirectBatchOptions): Promise<StoredMsg[]> {
  return new Promise((resolve, reject) => {
    const messages: StoredMsg[] = [];
    const callback = (done: { err?: Error } | null, message: StoredMsg) => {
      if (done === null) messages.push(message);
      else if (done.err === undefined || NOT_FOUND.test(done.err.message)) resolve(messages);
      else reject(new Unavailable("the log cannot be read now", { cause: done.err }));
    };
    jsm.direct.getBatch(stream, Object.assign(options, { callback })).catch((cause: unknown) => {
      reject(new Unavailable(`the log cannot be read now: ${toError(cause).message}`, { cause }));
    });
  });
}
