/** pg-boss: a queue in Postgres whose workers fetch jobs in batches and complete each batch at once. */
import { PgBoss } from "pg-boss";
import { countdown, cutInto, waitUntil } from "./counting.ts";
import type { Job, Peer, PeerSettings } from "./peer.ts";
import { openSender } from "./sender.ts";

const QUEUE = "deliveries";
/** Quickest of 1, 2, 4 and 10 workers that share the concurrency, each with its part of it as batch size. */
const WORKERS = 1;
const INSERT_AT_ONCE = 5_000;

/** Opens it; its own upkeep is off, since a round is shorter than any of its intervals. */
export async function openPgBoss(settings: PeerSettings): Promise<Peer> {
  const { databaseUrl: connectionString, concurrency } = settings;
  const sender = await openSender(settings, true);
  const boss = new PgBoss({ connectionString, max: WORKERS + 2, supervise: false, schedule: false });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  await boss.createQueue(QUEUE);
  return {
    async enqueue(jobs) {
      for (const some of cutInto(INSERT_AT_ONCE, jobs)) {
        await boss.insert(
          QUEUE,
          some.map((data) => ({ data })),
        );
      }
      await boss.getDb().executeSql("ANALYZE pgboss.job");
    },
    async work(count) {
      const { reached, tick } = countdown(count);
      const options = {
        localConcurrency: WORKERS,
        batchSize: concurrency / WORKERS,
        pollingIntervalSeconds: 0.5,
        burstWhenBatchFull: true,
      };
      await boss.work<Job>(QUEUE, options, async (jobs) => {
        await Promise.all(jobs.map(({ data }) => sender.deliver(data)));
        tick(jobs.length);
      });
      await reached;
      const sql = `SELECT 1 FROM pgboss.job WHERE name = '${QUEUE}' AND state < 'completed' LIMIT 1`;
      await waitUntil(async () => (await boss.getDb().executeSql(sql)).rows.length === 0);
    },
    rest: () => boss.offWork(QUEUE),
    async close() {
      await boss.stop({ graceful: false });
      await sender.close();
    },
  };
}
