import { RetentionPolicy } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { connectLog, ensureTopology } from "../../src/log/connection.ts";
import { Topology } from "../../src/log/topology.ts";
import { removeStreams, TEST_LIMITS } from "../support/log.ts";
import { natsUrl, streamPrefix } from "../support/namespace.ts";

test("makes streams that refuse new facts when full and let nobody delete or purge", async () => {
  const connection = await connectLog(natsUrl(), new Topology(streamPrefix()));
  try {
    await ensureTopology(connection, TEST_LIMITS);
    const { config } = await connection.jsm.streams.info(connection.topology.eventStreams.runs);
    expect(config).toMatchObject({ discard: "new", deny_delete: true, deny_purge: true, allow_direct: true });
    expect(config.retention).toBe(RetentionPolicy.Limits);
    await expect(connection.jsm.streams.purge(connection.topology.eventStreams.runs)).rejects.toThrow(
      "purge",
    );
  } finally {
    await removeStreams(connection);
    await connection.close();
  }
});

test("can be asked for again by many processes at once, and takes a changed limit", async () => {
  const topology = new Topology(streamPrefix());
  const connection = await connectLog(natsUrl(), topology);
  try {
    await Promise.all([1, 2, 3].map(() => ensureTopology(connection, TEST_LIMITS)));
    await ensureTopology(connection, { ...TEST_LIMITS, deliveryRetentionDays: 7 });
    const { config } = await connection.jsm.streams.info(topology.eventStreams.deliveries);
    expect(config.max_age).toBe(7 * 86_400 * 1e9);
  } finally {
    await removeStreams(connection);
    await connection.close();
  }
});

test("says where it looked when no server answers, without the password", async () => {
  const failure = connectLog("nats://user:hunter2@127.0.0.1:1", new Topology("none"));
  await expect(failure).rejects.toThrow("no NATS server answers at 127.0.0.1:1");
  await expect(failure).rejects.not.toThrow("hunter2");
});

test("says what to do when the server has no room for the streams", async () => {
  const connection = await connectLog(natsUrl(), new Topology(streamPrefix()));
  try {
    await expect(ensureTopology(connection, { ...TEST_LIMITS, maxBytes: 2 ** 60 })).rejects.toThrow(
      "set EGRET_STREAM_MAX_BYTES lower, or free disk space",
    );
  } finally {
    await removeStreams(connection);
    await connection.close();
  }
});
