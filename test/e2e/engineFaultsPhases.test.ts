/** I4, I5, I8: whatever breaks in whatever phase of a run, everything arrives, and nothing else is remembered. */
import { beforeAll, describe, expect, test } from "vitest";
import { triggerAndWait } from "../support/egret.ts";
import { type FaultScene, type HeldRun, openFaultScene, PHASES, type Phase } from "../support/faultScene.ts";
import { expectLifecycle, expectSameRepeats } from "../support/receiverModel.ts";

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
    await release();
    await scene.restart();
  },
  "a source that is cut off": async (release) => {
    const { source } = scene.gates;
    source.cut();
    await source.refused(3);
    await release();
    source.open();
  },
  "an app database that is cut off": async (release) => {
    const { database } = scene.gates;
    database.cut();
    await database.refused(10);
    await release();
    database.open();
  },
  "a NATS that is cut off": async (release) => {
    const { nats } = scene.gates;
    nats.cut();
    await nats.refused(5);
    await release();
    nats.open();
  },
};

beforeAll(async () => {
  scene = await openFaultScene();
  await Promise.all(PHASES.map((phase) => triggerAndWait(scene, { sync: phase })));
});

describe.each(Object.keys(FAULTS))("%s", (fault) => {
  let runs: Map<Phase, HeldRun>;

  beforeAll(async () => {
    await editEach();
    const held = await scene.holdEach();
    runs = held.runs;
    await FAULTS[fault]?.(held.release);
  });

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
