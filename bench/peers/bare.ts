/** Bare undici: signed POSTs from a list in memory, nothing kept but, if asked for, one row per attempt. */
import { pipelined } from "../pipelined.ts";
import type { Job, Peer, PeerSettings } from "./peer.ts";
import { openSender } from "./sender.ts";

/** Opens it, with or without the row. */
export async function openBare(settings: PeerSettings, withRows: boolean): Promise<Peer> {
  const sender = await openSender(settings, withRows);
  let waiting: readonly Job[] = [];
  return {
    async enqueue(jobs) {
      waiting = jobs;
    },
    async work(count) {
      const jobs = waiting;
      await pipelined({ count, inFlight: settings.concurrency }, async (index) => {
        const job = jobs[index];
        if (job !== undefined) await sender.deliver(job);
      });
    },
    rest: async () => undefined,
    close: () => sender.close(),
  };
}
