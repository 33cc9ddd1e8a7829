/** I4, I5, I8: whatever breaks in whatever phase of a run, everything arrives, and nothing else is remembered. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testSettings, triggerAndWait } from "../support/egret.ts";
import { type FaultScene, type HeldRun, openFaultScene, PHASES, type Phase } from "../support/faultScene.ts";
import { testDatabase } from "../support/namespace.ts";
import { expectLifecycle, expectSameRepeats } from "../support/receiverModel.ts";
import type { TcpGate } from "../support/tcpGate.ts";

// Out here, as a hook that is registered inside another one never runs, and these drop what they make.
const { url: warehouseUrl } = await testDatabase();
const direct = await testSettings();

let scene: FaultScene;
let edits = 0;

/** Some rows change, some go, some come: the run has batches of both operations. */
async function editEach(): Promise<void> {
  edits += 1;
  for (const phase of PHASES) {
    await scene.warehouse(`
      update ${phase}_rows set name = 'edit ${edits} of ' || id where id % 2 = 1;
      delete from ${phase}_rows where id % 30 = ${edits * 2};
      insert into ${phase}_rows select ${100 * edits} + n, 'new ' || n from generate_series(1, 5) n`);
  }
}

/** The fault happens while every run is held; everything is back when it returns. */
const FAULTS: Record<string, (release: () => Promise<void>) => Promise<void>> = {
  "kill -9 of the worker": async (release) => {
    await scene.egret().kill9();
    // What it had asked the source ends there by itself, or it would keep its locks and its snapshot.
    await scene.deserted();
    await release();
    await scene.restart();
  },
  "a source that is cut off": (release) => cutOff(scene.gates.source, { refusals: 3, release }),
  "an app database that is cut off": (release) => cutOff(scene.gates.database, { refusals: 10, release }),
  "an app database that vanishes without a word": async (release) => {
    const { database } = scene.gates;
    database.vanish();
    await release();
    database.open();
  },
  "a NATS that is cut off": (release) => cutOff(scene.gates.nats, { refusals: 5, release }),
};

async function cutOff(
  gate: TcpGate,
  { refusals, release }: { refusals: number; release(): Promise<void> },
): Promise<void> {
  gate.cut();
  try {
    await gate.refused(refusals);
    await release();
  } finally {
    gate.open();
  }
}

beforeAll(async () => {
  scene = await openFaultScene({ warehouseUrl, direct });
  await Promise.all(PHASES.map((phase) => triggerAndWait(scene, { sync: phase })));
});

afterAll(() => scene?.close());

describe.each(Object.keys(FAULTS))("%s", (fault) => {
  let runs: Map<Phase, HeldRun>;

  beforeAll(async () => {
    await editEach();
    const held = await scene.holdEach();
    runs = held.runs;
    try {
      await FAULTS[fault]?.(held.release);
    } finally {
      await held.release();
    }
  });
  // One that has not ended is in the way of the next fault.
  afterAll(() => Promise.allSettled([...(runs?.values() ?? [])].map(({ ended }) => ended)));

  test.each(PHASES)(
    "while %s: the run ends well, and the receiver has what the source has",
    async (phase) => {
      const run = runs.get(phase) as HeldRun;
      const { runId, events } = await run.ended;
      expectLifecycle(events, "sync.success");
      const { source, receiver } = await scene.rows(phase);
      expect(receiver).toEqual(source);
      const sent = scene.requests(phase).slice(run.before);
      expect(expectSameRepeats(sent)).toBeLessThanOrEqual(4);
      expect(sent.every(({ headers }) => String(headers["idempotency-key"]).startsWith(`${runId}-`))).toBe(
        true,
      );
    },
  );

  test("state is what was accepted: the next runs send nothing", async () => {
    const counts = () => PHASES.map((phase) => scene.requests(phase).length);
    const before = counts();
    const next = await Promise.all(PHASES.map((phase) => triggerAndWait(scene, { sync: phase })));
    for (const { events } of next) {
      expect(events.find(({ type }) => type === "sync.planned")?.data).toMatchObject({
        source_record_updates: 0,
        source_record_deletes: 0,
        batches: 0,
      });
    }
    expect(counts()).toEqual(before);
  });
});

test("I4: every lifecycle event of every run reached the subscriber", async () => {
  const { subscriber } = scene;
  // Four events of each run; a run before the faults, and two for each of them.
  const wanted = 4 * PHASES.length * (1 + 2 * Object.keys(FAULTS).length);
  const distinct = () => new Set(subscriber.requests.map(({ headers }) => headers["x-event-id"])).size;
  await subscriber.waitFor(() => distinct() >= wanted, 60_000);
  expect(distinct()).toBe(wanted);
});
