/** How much of JetStream's own speed is left when events go through our log. */
import { createInbox } from "nats";
import type { DeliveryAggregate } from "../src/domain/aggregate.ts";
import { encodeEvent } from "../src/log/codec.ts";
import { connectLog, ensureTopology, type LogConnection } from "../src/log/connection.ts";
import { EventLog, NEW_AGGREGATE } from "../src/log/eventLog.ts";
import { DEFAULT_LOG_LIMITS, Topology } from "../src/log/topology.ts";
import type { BenchContext } from "./context.ts";
import { createPending, type PendingPlace } from "./deliveries.ts";
import { type Measurement, measured } from "./measurement.ts";
import { alternate } from "./median.ts";
import { pipelined } from "./pipelined.ts";

const COUNT = 10_000;
const QUICK_COUNT = 3_000;
const WARM_UP = 5_000;
const IN_FLIGHT = 500;
const ROUNDS = 3;

interface Contestants {
  connection: LogConnection;
  log: EventLog;
}

/** Events of new aggregates, at an expected version, with a dedupe id, checked by their schema; per second. */
export async function benchAppend({ servers, isQuick }: BenchContext): Promise<Measurement[]> {
  const count = isQuick ? QUICK_COUNT : COUNT;
  const connection = await connectLog(servers.natsUrl, new Topology(servers.newPrefix()));
  await ensureTopology(connection, DEFAULT_LOG_LIMITS);
  // The same kind of stream under another name, so that the bare publishes pay for the same storage.
  const bare = await connectLog(servers.natsUrl, new Topology(servers.newPrefix()));
  await ensureTopology(bare, DEFAULT_LOG_LIMITS);
  const log = new EventLog(connection);
  try {
    const ours = { connection, log };
    await appendAll(ours, 0, WARM_UP);
    const payload = await bytesOfOneEvent(ours);
    await publishAll(bare, { round: 0, payload, count: WARM_UP });
    await publishRaw(bare, { round: 0, payload, count: WARM_UP });
    const rates = await alternate(ROUNDS, {
      append: (round) => appendAll(ours, round, count),
      publish: (round) => publishAll(bare, { round, payload, count }),
      raw: (round) => publishRaw(bare, { round, payload, count }),
    });
    return [
      measured({
        name: "append",
        value: rates.append,
        unit: "events/s",
        kind: "rate",
        reference: rates.publish,
        bar: 0.8,
        against: `js.publish of the client, same bytes, ${IN_FLIGHT} in flight`,
      }),
      measured({
        name: "append-raw",
        value: rates.append,
        unit: "events/s",
        kind: "rate",
        reference: rates.raw,
        against: "nc.publish with one reply inbox, the least a publish can do",
      }),
    ];
  } finally {
    log.close();
    await connection.close();
    await bare.close();
  }
}

const placeOf = (round: number, index: number): PendingPlace => ({
  deliveryId: `${round}-${index}`,
  webhookId: 1 + (index % 40),
});

async function appendAll({ log }: Contestants, round: number, count: number): Promise<number> {
  const ms = await pipelined({ count, inFlight: IN_FLIGHT }, (index) => {
    const { aggregate, draft } = createPending(placeOf(round, index));
    return log.append(aggregate, draft, NEW_AGGREGATE);
  });
  return (count / ms) * 1000;
}

async function bytesOfOneEvent({ log }: Contestants): Promise<Uint8Array> {
  const { aggregate, draft } = createPending({ deliveryId: "sample", webhookId: 1 });
  const { event } = await log.append(aggregate, draft, NEW_AGGREGATE);
  return encodeEvent(event);
}

interface Bare {
  round: number | string;
  payload: Uint8Array;
  count: number;
}

/** A subject of its own for each message, as new aggregates have. */
function subjectOf({ topology }: LogConnection, round: number | string, index: number): string {
  const aggregate: DeliveryAggregate = createPending({
    deliveryId: `${round}-${index}`,
    webhookId: 1 + (index % 40),
  }).aggregate;
  return `${topology.aggregate(aggregate)}.pending`;
}

async function publishAll(bare: LogConnection, { round, payload, count }: Bare): Promise<number> {
  const subjects = Array.from({ length: count }, (_, index) => subjectOf(bare, `p${round}`, index));
  const ms = await pipelined({ count, inFlight: IN_FLIGHT }, (index) =>
    bare.js.publish(subjects[index] ?? "", payload),
  );
  return (count / ms) * 1000;
}

/** Acknowledgements are counted in one inbox and nothing else is done with them. */
async function publishRaw(bare: LogConnection, { round, payload, count }: Bare): Promise<number> {
  const { nc } = bare;
  const subjects = Array.from({ length: count }, (_, index) => subjectOf(bare, `r${round}`, index));
  const inbox = createInbox();
  const waiting: (() => void)[] = [];
  const subscription = nc.subscribe(inbox, { callback: () => waiting.shift()?.() });
  const ms = await pipelined({ count, inFlight: IN_FLIGHT }, (index) => {
    nc.publish(subjects[index] ?? "", payload, { reply: inbox });
    return new Promise<void>((resolve) => waiting.push(resolve));
  });
  subscription.unsubscribe();
  return (count / ms) * 1000;
}
