/** A log of its own for a test file: streams under a fresh prefix on the run's nats-server. */
import { afterAll } from "vitest";
import { connectLog, ensureTopology, type LogConnection } from "../../src/log/connection.ts";
import { EventLog } from "../../src/log/eventLog.ts";
import { DEFAULT_LOG_LIMITS, Topology } from "../../src/log/topology.ts";
import { natsUrl, streamPrefix } from "./namespace.ts";

/** Small, since a server reserves what its streams may grow to. */
export const TEST_LIMITS = { ...DEFAULT_LOG_LIMITS, maxBytes: 64 * 1024 ** 2 };

/** Opens the log and removes its streams after the file's last test. */
export async function testLog(): Promise<{ connection: LogConnection; log: EventLog }> {
  const connection = await connectLog(natsUrl(), new Topology(streamPrefix()));
  await ensureTopology(connection, TEST_LIMITS);
  const log = new EventLog(connection);
  afterAll(async () => {
    log.close();
    await removeStreams(connection);
    await connection.close();
  });
  return { connection, log };
}

/** Removes the streams of a topology, so that their reserved space is free for other files. */
export async function removeStreams({ jsm, topology }: LogConnection): Promise<void> {
  for (const name of [
    topology.commandStream,
    topology.waitingStream,
    ...Object.values(topology.eventStreams),
  ]) {
    await jsm.streams.delete(name).catch(() => undefined);
  }
}
