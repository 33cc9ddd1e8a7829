/** The program of one contender beside Egret, in a process of its own like ours. */
import { answerMessages } from "./childMessages.ts";
import { nowMs } from "./clock.ts";
import { openBare } from "./peers/bare.ts";
import { openGraphileWorker } from "./peers/graphileWorker.ts";
import type { Peer, PeerName, PeerQuestion, PeerSettings } from "./peers/peer.ts";
import { openPgBoss } from "./peers/pgBoss.ts";

const OPEN: Record<PeerName, (settings: PeerSettings) => Promise<Peer>> = {
  bare: (settings) => openBare(settings, false),
  "bare-row": (settings) => openBare(settings, true),
  "pg-boss": openPgBoss,
  "graphile-worker": openGraphileWorker,
};

const name = process.env["BENCH_PEER"] as PeerName;
const settings = JSON.parse(process.env["BENCH_PEER_SETTINGS"] ?? "{}") as PeerSettings;
const peer = await OPEN[name](settings);

answerMessages(
  async (question: PeerQuestion): Promise<object> => {
    switch (question.kind) {
      case "enqueue":
        await peer.enqueue(question.jobs);
        return {};
      case "work": {
        const started = nowMs();
        await peer.work(question.count);
        return { ms: nowMs() - started };
      }
      case "rest":
        await peer.rest();
        return {};
    }
  },
  () => peer.close(),
);
