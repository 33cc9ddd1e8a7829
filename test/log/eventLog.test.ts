import { headers } from "nats";
import { beforeAll, describe, expect, test } from "vitest";
import type { RunAggregate } from "../../src/domain/aggregate.ts";
import { InvalidInput, LogCorrupt, VersionConflict } from "../../src/domain/errors.ts";
import type { EventData } from "../../src/domain/event.ts";
import type { LogConnection } from "../../src/log/connection.ts";
import { connectLog } from "../../src/log/connection.ts";
import { type EventDraft, EventLog, headOf, NEW_AGGREGATE } from "../../src/log/eventLog.ts";
import { testLog } from "../support/log.ts";
import { natsUrl } from "../support/namespace.ts";

let log: EventLog;
let connection: LogConnection;
let nextRun = 1;

beforeAll(async () => {
  ({ log, connection } = await testLog());
});

const newRun = (): RunAggregate => ({ kind: "run", workspaceId: 1, syncId: 2, runId: nextRun++ });

function started(run: RunAggregate, worker = "w"): EventDraft<"sync.started"> {
  const data: EventData<"sync.started"> = { workspace_id: 1, sync_id: 2, sync_run_id: run.runId, worker };
  return { type: "sync.started", machine: "syncRun@1", state: "started.checking", data };
}

describe("append", () => {
  test("numbers the events of an aggregate 1, 2, 3 and gives them back in order", async () => {
    const run = newRun();
    const first = await log.append(run, started(run), NEW_AGGREGATE);
    const second = await log.append(run, started(run), { version: 1, sequence: first.sequence });
    const history = await log.load(run);
    expect(history.map(({ event }) => event.version)).toEqual([1, 2]);
    expect(history).toEqual([first, second]);
    expect(headOf(history)).toEqual({ version: 2, sequence: second.sequence });
  });

  test("I2: of many writers at one version exactly one appends, the others see a conflict", async () => {
    const other = await connectLog(natsUrl(), connection.topology);
    const otherLog = new EventLog(other);
    try {
      for (let round = 0; round < 20; round++) {
        const run = newRun();
        const first = await log.append(run, started(run), NEW_AGGREGATE);
        const head = { version: 1, sequence: first.sequence };
        const results = await Promise.allSettled(
          Array.from({ length: 10 }, (_, writer) =>
            (writer % 2 ? log : otherLog).append(run, started(run, `w${writer}`), head),
          ),
        );
        const won = results.filter((result) => result.status === "fulfilled");
        const lost = results.flatMap((result) =>
          result.status === "rejected" ? [result.reason as unknown] : [],
        );
        expect(won).toHaveLength(1);
        expect(lost.every((reason) => reason instanceof VersionConflict)).toBe(true);
        expect((await log.load(run)).map(({ event }) => event.version)).toEqual([1, 2]);
      }
    } finally {
      otherLog.close();
      await other.close();
    }
  });

  test("knows its own event again when the first acknowledgement was lost", async () => {
    const run = newRun();
    const draft = { ...started(run), id: "018f0000-0000-7000-8000-000000000001" };
    const first = await log.append(run, draft, NEW_AGGREGATE);
    // The same decision a second time: the server refuses it as a conflict or drops it as a duplicate.
    const again = await log.append(run, draft, NEW_AGGREGATE);
    expect(again.sequence).toBe(first.sequence);
    expect(await log.load(run)).toHaveLength(1);
  });

  test("refuses data that does not fit its type, naming the field, and appends nothing", async () => {
    const run = newRun();
    const bad = started(run);
    bad.data = { ...bad.data, sync_run_id: "seven" as unknown as number };
    const refused = await log.append(run, bad, NEW_AGGREGATE).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(InvalidInput);
    expect((refused as InvalidInput).problems[0]?.field).toBe("sync_run_id");
    expect(await log.load(run)).toEqual([]);
  });
});

describe("load", () => {
  test("gives nothing for an aggregate that never was, instead of an error", async () => {
    expect(await log.load(newRun())).toEqual([]);
    expect(await log.last(newRun())).toBeNull();
  });

  test("says when an event is missing from a history", async () => {
    const run = newRun();
    const first = await log.append(run, started(run), NEW_AGGREGATE);
    await expect(
      log.append(run, started(run), { version: 2, sequence: first.sequence }),
    ).resolves.toBeDefined();
    await expect(log.load(run)).rejects.toThrow(LogCorrupt);
    await expect(log.load(run)).rejects.toThrow(`run/${run.runId} has version 3 where 2 belongs`);
  });

  test("says when somebody else wrote to our subjects", async () => {
    const run = newRun();
    connection.nc.publish(`${connection.topology.aggregate(run)}.started`, "not json", {
      headers: headers(),
    });
    await connection.nc.flush();
    await expect(log.load(run)).rejects.toThrow("is not JSON: someone else writes to our subjects");
  });
});
