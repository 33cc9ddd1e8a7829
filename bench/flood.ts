/** Appends deliveries as fast as the server takes them: without the expectations and ids that the event log gives. */
import { randomUUID } from "node:crypto";
import { createInbox } from "nats";
import { aggregateName } from "../src/domain/aggregate.ts";
import type { AnyEvent } from "../src/domain/event.ts";
import { encodeEvent } from "../src/log/codec.ts";
import type { LogConnection } from "../src/log/connection.ts";
import { createPending, type PendingPlace } from "./deliveries.ts";
import { pipelined } from "./pipelined.ts";

const IN_FLIGHT = 2_000;

/**
 * Publishes `delivery.pending` of so many deliveries, each a new aggregate, with the bytes that the log would write.
 * @throws when the server refused one.
 */
export async function flood(
  { nc, topology }: LogConnection,
  { count, place }: { count: number; place: (index: number) => PendingPlace },
): Promise<void> {
  const inbox = createInbox();
  const waiting: (() => void)[] = [];
  const refusals: string[] = [];
  const subscription = nc.subscribe(inbox, {
    callback: (_error, message) => {
      const answer = message.string();
      if (!answer.includes('"seq"')) refusals.push(answer);
      waiting.shift()?.();
    },
  });
  await pipelined({ count, inFlight: IN_FLIGHT }, (index) => {
    const { aggregate, draft } = createPending(place(index));
    const event = {
      specversion: "1.0",
      id: randomUUID(),
      source: "egret",
      type: draft.type,
      subject: aggregateName(aggregate),
      time: new Date().toISOString(),
      datacontenttype: "application/json",
      version: 1,
      machine: draft.machine,
      state: draft.state,
      data: draft.data,
    } as AnyEvent;
    nc.publish(`${topology.aggregate(aggregate)}.pending`, encodeEvent(event), { reply: inbox });
    return new Promise<void>((resolve) => waiting.push(resolve));
  });
  subscription.unsubscribe();
  const [refusal] = refusals;
  if (refusal !== undefined) throw new Error(`the log refused ${refusals.length} deliveries: ${refusal}`);
}
