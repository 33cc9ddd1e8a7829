/** The program under test: a whole Egret in one process with its log lines on, which does what the bench asks and tells its peak memory. */
import { readFile } from "node:fs/promises";
import { openLogger } from "../src/logger.ts";
import { type EgretSettings, type RunningEgret, startEgret } from "../src/main.ts";
import { DeliveryIntake } from "../src/runtime/deliveryIntake.ts";
import { answerMessages } from "./childMessages.ts";
import { pendingData } from "./deliveries.ts";
import type { EgretAnswer, EgretQuestion } from "./egret.ts";
import { pipelined } from "./pipelined.ts";

const CREATE_IN_FLIGHT = 500;
const PATIENCE_MS = 60_000;

/** Most memory that this process ever had, bytes. */
async function peakMemory(): Promise<number> {
  // The kernel's own high-water mark; resourceUsage would also count what our parent held when it forked us.
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const kilobytes = /VmHWM:\s*(\d+) kB/.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
  return Number(kilobytes) * 1024;
}

/** From the first append until the last delivery stands in the read model as delivered. */
async function deliver(
  { services }: RunningEgret,
  { round, count, webhookIds }: Extract<EgretQuestion, { kind: "deliver" }>,
): Promise<EgretAnswer> {
  const { log, database, events } = services;
  const intake = new DeliveryIntake(log);
  const before = (await events.info("deliveries")).lastSequence;
  const started = performance.now();
  await pipelined({ count, inFlight: CREATE_IN_FLIGHT }, (index) => {
    const webhookId = webhookIds[index % webhookIds.length] ?? 0;
    return intake.create(pendingData({ deliveryId: `${round}-${index}`, webhookId }));
  });
  // Two events each: any retry would make it more, and leave deliveries that are not delivered below.
  await projected(services, before + 2 * count);
  const ms = performance.now() - started;
  const { rows } = await database.pool.query<{ delivered: number }>(
    "select count(*) as delivered from egret_read.deliveries where state = 'delivered' and id like $1",
    [`${round}-%`],
  );
  if (rows[0]?.delivered !== count) throw new Error(`${rows[0]?.delivered} of ${count} were delivered`);
  return { ms };
}

async function projected({ database }: RunningEgret["services"], sequence: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  const sql = "select last_sequence from egret_read.checkpoints where stream = 'deliveries'";
  for (;;) {
    const { rows } = await database.pool.query<{ last_sequence: number }>(sql);
    const at = rows[0]?.last_sequence ?? 0;
    if (at >= sequence) return;
    if (performance.now() > deadline) throw new Error(`projected up to ${at}, not ${sequence}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const settings = JSON.parse(process.env["EGRET_BENCH_SETTINGS"] ?? "{}") as Omit<EgretSettings, "logger">;
const running = await startEgret({ ...settings, logger: openLogger({ level: "info", pretty: false }) });

answerMessages(
  async (question: EgretQuestion): Promise<EgretAnswer> =>
    question.kind === "deliver" ? deliver(running, question) : { peakBytes: await peakMemory() },
  () => running.close(),
);
