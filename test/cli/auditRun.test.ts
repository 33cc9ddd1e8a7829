import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Audit, auditRun, auditVerdict } from "../../src/cli/auditRun.ts";
import { parseAggregate, type RunAggregate } from "../../src/domain/aggregate.ts";
import { type AnyEvent, subjectWord } from "../../src/domain/event.ts";
import { connectLog, ensureTopology, type LogConnection } from "../../src/log/connection.ts";
import { EventLog } from "../../src/log/eventLog.ts";
import { Topology } from "../../src/log/topology.ts";
import { runCli } from "../support/cli.ts";
import { configHistory, deliveryHistory, runHistory } from "../support/events.ts";
import { natsUrl, streamPrefix } from "../support/namespace.ts";

const prefix = streamPrefix();
let connection: LogConnection;
let log: EventLog;
let nextRun = 100;

beforeAll(async () => {
  connection = await connectLog(natsUrl(), new Topology(prefix));
  await ensureTopology(connection, { maxBytes: 64 * 1_048_576, deliveryRetentionDays: 36_500, replicas: 1 });
  log = new EventLog(connection);
});

afterAll(async () => {
  log.close();
  await connection.close();
});

describe("the audit of a run", () => {
  test("counts every event of the run and of its deliveries when nothing is missing", async () => {
    const run = await written({});
    const audit = await auditRun({ connection, log }, run);
    expect(audit.problems).toEqual([]);
    expect(auditVerdict(audit)).toBe("complete: 12 events, 2 deliveries, gapless");
  });

  test("reports an event that is missing, and the command ends with 1", async () => {
    const run = await written({ without: (event) => event.type === "sync.snapshotted" });
    const audit = await auditRun({ connection, log }, run);
    expect(audit.problems).toContainEqual(
      `run/${run.runId} has version 5 where 4 belongs: an event is missing or doubled`,
    );
    expect(auditVerdict(audit)).toMatch(/^not intact: /);

    const env = { EGRET_NATS_URL: natsUrl(), EGRET_STREAM_PREFIX: prefix };
    const printed = await runCli(["audit", String(run.runId), "--json"], env);
    expect(printed.code).toBe(1);
    expect(JSON.parse(printed.stdout)).toMatchObject({ run_id: run.runId, intact: false });
  });

  test("reports a batch that is not in the log, and one that has not ended", async () => {
    const gone = await written({ without: (event) => event.subject.endsWith("-2") });
    expect(await problemsOf(gone)).toEqual([`delivery/${gone.runId}-2, a batch, is not in the log`]);
    const open = await written({ without: (event) => event.subject.endsWith("-2") && event.version > 1 });
    expect((await problemsOf(open))[0]).toBe(
      `delivery/${open.runId}-2, a batch, has not ended though the run has`,
    );
  });

  test("goes by the first ending of a batch that was redelivered, whatever becomes of it", async () => {
    const delivered = await written({ again: "delivered" });
    expect(await problemsOf(delivered)).toEqual([]);
    const open = await written({ again: "open" });
    const audit = await auditRun({ connection, log }, open);
    expect(audit.problems).toEqual([]);
    expect(auditVerdict(audit)).toBe(
      "intact so far: 14 events, 2 deliveries, gapless; 2 deliveries still open",
    );
  });

  test("reports a state that replay does not reach", async () => {
    const run = await written({
      change: (event) => (event.type === "sync.planned" ? { ...event, state: "started.committing" } : event),
    });
    expect(await problemsOf(run)).toEqual([
      `run/${run.runId} version 5 says state started.committing, replay gives started.loading`,
    ]);
  });

  test("reports rows that do not add up", async () => {
    const run = await written({
      change: (event) =>
        event.type === "delivery.pending" ? { ...event, data: { ...event.data, records: 6 } } : event,
    });
    expect(await problemsOf(run)).toEqual([
      `run/${run.runId} says 13 rows accepted, its batches say 6`,
      `run/${run.runId} says 1 rows rejected, its batches say 6`,
    ]);
  });

  test("reports a lifecycle event that a subscribed webhook did not get", async () => {
    const [created] = configHistory({ kind: "webhook", objectId: 9, name: "pager" });
    const settings = { events: ["sync.success"], enabled: true };
    await publish(`12.config.webhook.9.created`, {
      ...created,
      data: { ...created?.data, settings },
    } as AnyEvent);
    const run = await written({});
    expect(await problemsOf(run)).toEqual(["sync.success has no delivery for webhook 9 (pager)"]);
  });
});

describe("the audit of an old run", () => {
  test("checks the run itself and says that deliveries are not kept that long", async () => {
    const old = await connectLog(natsUrl(), new Topology(streamPrefix()));
    await ensureTopology(old, { maxBytes: 1_048_576, deliveryRetentionDays: 30, replicas: 1 });
    const oldLog = new EventLog(old);
    const longAgoMs = Date.now() - 31 * 86_400_000;
    for (const event of runHistory({ runId: 7, startMs: longAgoMs })) {
      const subject = oldLog.topology.events(`12.run.88.7.${subjectWord(event.type)}`);
      await old.js.publish(subject, JSON.stringify(event));
    }
    const run = parseAggregate("12.run.88.7") as RunAggregate;
    const audit = await auditRun({ connection: old, log: oldLog }, run);
    expect(audit.problems).toEqual([]);
    expect(auditVerdict(audit)).toBe(
      "intact: 8 events, gapless; its deliveries are older than the log keeps them",
    );
    oldLog.close();
    await old.close();
  });
});

async function problemsOf(run: RunAggregate): Promise<string[]> {
  const audit: Audit = await auditRun({ connection, log }, run);
  return audit.problems;
}

/** Writes a run of two batches, 13 rows accepted and 1 rejected, past the log's own checks. */
async function written({
  without = () => false,
  change = (event) => event,
  again,
}: {
  again?: "open" | "delivered";
  without?: (event: AnyEvent) => boolean;
  change?: (event: AnyEvent) => AnyEvent;
}): Promise<RunAggregate> {
  const runId = (nextRun += 1);
  const subject = (event: AnyEvent, root: string) => `${root}.${subjectWord(event.type)}`;
  for (const event of runHistory({ runId })) {
    if (!without(event)) await publish(subject(event, `12.run.88.${runId}`), change(event));
  }
  for (const [batchNo, records, end] of [
    [1, 13, "delivered"],
    [2, 1, "refused"],
  ] as const) {
    const deliveryId = `${runId}-${batchNo}`;
    const shape = { deliveryId, runId, end, ...(again === undefined ? {} : { again }) };
    for (const event of deliveryHistory(shape)) {
      const sized =
        event.type === "delivery.pending" ? { ...event, data: { ...event.data, records } } : event;
      if (!without(event))
        await publish(subject(event, `12.delivery.destination.3.${deliveryId}`), change(sized));
    }
  }
  return parseAggregate(`12.run.88.${runId}`) as RunAggregate;
}

async function publish(subject: string, event: AnyEvent): Promise<void> {
  await connection.js.publish(log.topology.events(subject), JSON.stringify(event));
}
