/** graphile-worker: a queue in Postgres with a local queue of fetched jobs and completions in batches. */
import { Logger, makeWorkerUtils, type Runner, run } from "graphile-worker";
import pg from "pg";
import { countdown, cutInto, waitUntil } from "./counting.ts";
import type { Job, Peer, PeerSettings } from "./peer.ts";
import { openSender } from "./sender.ts";

const TASK = "deliver";
/** Jobs fetched in one go; quickest of 101, 500 (its own benchmark's) and 2,000. */
const LOCAL_QUEUE = 2_000;
/** Completions are gathered for this long, ms; quickest of 0 (its own benchmark's), 5, 20 and 50. */
const COMPLETE_EVERY_MS = 20;
const INSERT_AT_ONCE = 5_000;
const silent = new Logger(() => () => undefined);

/** Opens it. */
export async function openGraphileWorker(settings: PeerSettings): Promise<Peer> {
  const { databaseUrl, concurrency } = settings;
  const sender = await openSender(settings, true);
  const pgPool = new pg.Pool({ connectionString: databaseUrl, max: 20 });
  // It asks for both listeners.
  pgPool.on("error", () => undefined);
  pgPool.on("connect", (client) => void client.on("error", () => undefined));
  const utils = await makeWorkerUtils({ pgPool, logger: silent });
  await utils.migrate();
  let runner: Runner | null = null;
  return {
    async enqueue(jobs) {
      for (const some of cutInto(INSERT_AT_ONCE, jobs)) {
        await utils.addJobs(some.map((payload) => ({ identifier: TASK, payload })));
      }
      await pgPool.query("VACUUM ANALYZE graphile_worker._private_jobs");
    },
    async work(count) {
      const { reached, tick } = countdown(count);
      runner = await run({
        pgPool,
        logger: silent,
        noHandleSignals: true,
        parsedCronItems: [],
        preset: {
          worker: {
            concurrentJobs: concurrency,
            localQueue: { size: LOCAL_QUEUE },
            completeJobBatchDelay: COMPLETE_EVERY_MS,
            failJobBatchDelay: COMPLETE_EVERY_MS,
            pollInterval: 100,
          },
        },
        taskList: {
          [TASK]: async (payload) => {
            await sender.deliver(payload as Job);
            tick(1);
          },
        },
      });
      await reached;
      // A job that is done is deleted.
      const sql = "SELECT 1 FROM graphile_worker._private_jobs LIMIT 1";
      await waitUntil(async () => (await pgPool.query(sql)).rows.length === 0);
    },
    async rest() {
      await runner?.stop();
      runner = null;
    },
    async close() {
      await utils.release();
      await pgPool.end();
      await sender.close();
    },
  };
}
