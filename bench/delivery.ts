/** Deliveries of one event each, event-sourced from end to end, against bare POSTs of the same requests. */
import { Agent } from "undici";
import { Releases } from "../src/releases.ts";
import { webhookRequest } from "../src/runtime/webhookTarget.ts";
import { pendingData } from "./deliveries.ts";
import { type BenchEgret, startBenchEgret, WORKER_CONCURRENCY } from "./egret.ts";
import { type Measurement, measured } from "./measurement.ts";
import { alternate } from "./median.ts";
import { pipelined } from "./pipelined.ts";
import type { BenchServers } from "./servers.ts";
import { expectAtSink, type Sink, startSink } from "./sink.ts";

const COUNT = 1_500;
const WARM_UP = 500;
const ROUNDS = 3;
/** One webhook gets a share of the worker's places only: with so many, the worker's own bound is the one that is met. */
const WEBHOOKS = 40;
/** The worker's pool has as many to one origin. */
const CONNECTIONS = 64;

/**
 * Deliveries per second: delivery.pending appended, taken by the worker, signed, sent, delivery.delivered appended,
 * projected; the clock stops when the last one is.
 */
export async function benchDelivery(servers: BenchServers): Promise<Measurement[]> {
  const releases = new Releases();
  try {
    const sink = await startSink();
    releases.push(() => sink.close());
    const pool = new Agent({ connections: CONNECTIONS, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
    releases.push(() => pool.destroy());
    const names = Array.from({ length: WEBHOOKS }, (_, index) => `hook${index}`);
    const webhooks = names.map((name) => `  ${name}: { endpoint: "${sink.url}/hook" }`).join("\n");
    const egret = await startBenchEgret(servers, `workspace: bench\nwebhooks:\n${webhooks}\n`);
    releases.push(() => egret.close());
    await sink.report({ secrets: egret.webhooks.map(({ id, secret }) => [String(id), secret]) });
    const contest = { sink, egret, pool };
    await postAll(contest, "warm", WARM_UP);
    await deliverAll(contest, "warm", WARM_UP);
    const rates = await alternate(ROUNDS, {
      bare: (round) => postAll(contest, `bare${round}`, COUNT),
      ours: (round) => deliverAll(contest, `ours${round}`, COUNT),
    });
    return [
      measured({
        name: "delivery",
        value: rates.ours,
        unit: "deliveries/s",
        kind: "rate",
        reference: rates.bare,
        against: `bare POSTs by undici, same requests, ${WORKER_CONCURRENCY} under way`,
      }),
    ];
  } finally {
    await releases.release();
  }
}

interface Contest {
  sink: Sink;
  egret: BenchEgret;
  pool: Agent;
}

async function deliverAll({ egret, sink }: Contest, round: string, count: number): Promise<number> {
  const ms = await egret.deliver(round, count);
  await expectAtSink(sink, count);
  return (count / ms) * 1000;
}

/** The same headers, signatures and body as the worker's; nothing is remembered of them. */
async function postAll({ sink, egret, pool }: Contest, round: string, count: number): Promise<number> {
  const { webhooks } = egret;
  const ms = await pipelined({ count, inFlight: WORKER_CONCURRENCY }, async (index) => {
    const webhook = webhooks[index % webhooks.length] ?? { id: 0, secret: "" };
    const pending = pendingData({ deliveryId: `${round}-${index}`, webhookId: webhook.id });
    const request = webhookRequest(webhook, pending, {
      attempt: 1,
      userAgent: "bench",
      nowMs: Date.now(),
    });
    const answer = await pool.request({ origin: sink.url, path: "/hook", method: "POST", ...request });
    await answer.body.dump();
    if (answer.statusCode !== 200) throw new Error(`the sink answered ${answer.statusCode}`);
  });
  await expectAtSink(sink, count);
  return (count / ms) * 1000;
}
