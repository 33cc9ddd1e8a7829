import { beforeAll, expect, test } from "vitest";
import type { LogConnection } from "../../src/log/connection.ts";
import { type EventLog, NEW_AGGREGATE } from "../../src/log/eventLog.ts";
import { follow } from "../../src/log/follow.ts";
import { testLog } from "../support/log.ts";

let log: EventLog;
let connection: LogConnection;

beforeAll(async () => {
  ({ log, connection } = await testLog());
});

async function appendRuns(from: number, count: number, syncId = 2): Promise<void> {
  for (let runId = from; runId < from + count; runId++) {
    const data = { workspace_id: 1, sync_id: syncId, sync_run_id: runId, worker: "w" };
    const draft = { type: "sync.started", machine: "syncRun@1", state: "started.checking", data } as const;
    await log.append({ kind: "run", workspaceId: 1, syncId, runId }, draft, NEW_AGGREGATE);
  }
}

test("gives events in order from any sequence, then each new one at once, until it is stopped", async () => {
  await appendRuns(1, 30);
  const stop = new AbortController();
  const seen: number[] = [];
  for await (const batch of follow(connection, "runs", {
    fromSequence: 11,
    maxBatch: 7,
    signal: stop.signal,
  })) {
    expect(batch.length).toBeLessThanOrEqual(7);
    seen.push(...batch.map(({ sequence }) => sequence));
    if (seen.at(-1) === 30) await appendRuns(31, 5);
    if (seen.at(-1) === 35) stop.abort();
  }
  expect(seen).toEqual(Array.from({ length: 25 }, (_, index) => index + 11));
});

test("one wildcard follows one sync", async () => {
  await appendRuns(100, 3, 77);
  const stop = new AbortController();
  const seen: string[] = [];
  const options = { fromSequence: 1, maxBatch: 100, signal: stop.signal, filters: ["*.run.77.>"] };
  for await (const batch of follow(connection, "runs", options)) {
    seen.push(...batch.map(({ event }) => event.subject));
    if (seen.length === 3) stop.abort();
  }
  expect(seen).toEqual(["run/100", "run/101", "run/102"]);
});

test("a follower that gathers goes on when nothing comes any more, and stops when it is told to", async () => {
  await appendRuns(200, 2, 78);
  const stop = new AbortController();
  const asked: number[] = [];
  const seen: string[] = [];
  const options = {
    fromSequence: 1,
    maxBatch: 100,
    signal: stop.signal,
    filters: ["*.run.78.>"],
    // Longer than this test may take: of the first only the quiet can be the end, of the last only the stop.
    gathering: (events: number) => {
      asked.push(events);
      const isLast = seen.length === 3;
      if (isLast) setImmediate(() => stop.abort());
      return { mostMs: 600_000, quietMs: isLast ? 600_000 : 5 };
    },
  };
  let appending: Promise<void> | null = null;
  for await (const batch of follow(connection, "runs", options)) {
    seen.push(...batch.map(({ event }) => event.subject));
    appending ??= appendRuns(202, 1, 78);
  }
  await appending;
  expect(seen).toEqual(["run/200", "run/201", "run/202"]);
  expect(asked.length).toBeGreaterThanOrEqual(2);
});
