import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DELIVERY_MACHINE } from "../../../machines/delivery.ts";
import { LIFECYCLE_EVENTS } from "../../../src/domain/lifecycle.ts";
import { replayAlert, resumeAlert } from "../../../src/runtime/alerts/alertActor.ts";
import { deliveryAggregate } from "../../../src/runtime/deliveries/deliveryActor.ts";
import { DeliveryIntake } from "../../../src/runtime/deliveries/deliveryIntake.ts";
import { notify, type Subscriptions } from "../../../src/runtime/deliveries/notifier.ts";
import { previewReplay } from "../../../src/runtime/replays/replayRequest.ts";
import { alertHistory } from "../../support/alertHistory.ts";
import { stored } from "../../support/events.ts";
import { alertScene, WORKSPACE } from "./scene.ts";

const scene = await alertScene();
const { connection, log, db, pool, clock, configure, handle, newSync, play, alertEvents } = scene;
const failure = { type: "FailureAlertConfiguration" };

/** Tells a webhook of each event, twice, and returns the ids of the deliveries in order, and what was asked for. */
async function tell(syncId: number, webhookId: number) {
  const asked: string[] = [];
  const subscriptions: Subscriptions = {
    webhooksFor: ({ event }) => {
      asked.push(event);
      return Promise.resolve([webhookId]);
    },
  };
  const intake = new DeliveryIntake(log);
  const ids: string[][] = [];
  for (const event of await alertEvents(syncId)) {
    for (let time = 0; time < 2; time++)
      ids.push(await notify({ intake, subscriptions }, { event, sequence: 1 }));
  }
  return { asked: [...new Set(asked)], ids: [...new Set(ids.flat())] };
}

/** The first event of each delivery. */
async function begunWith(ids: readonly string[], webhookId: number) {
  const key = { workspace_id: WORKSPACE, target_kind: "webhook", target_id: webhookId } as const;
  const histories = await Promise.all(
    ids.map((delivery_id) => log.load(deliveryAggregate({ ...key, delivery_id }))),
  );
  return histories.map(([first]) => first!.event);
}

describe("what webhooks receive of an alert", () => {
  test("one delivery for each raise and each resolution, with the public payload, however often it is read", async () => {
    const syncId = newSync();
    const [configuration] = await configure(syncId, [failure]);
    const { runId } = await play({ syncId, outcome: "failed" });
    await play({ syncId });
    const { asked, ids } = await tell(syncId, 41);
    expect(asked).toEqual(["sync.alert.raised", "sync.alert.resolved"]);
    expect(ids).toEqual([`a${configuration!.id}-1-41`, `a${configuration!.id}-2-41`]);
    const deliveries = await begunWith(ids, 41);
    const [raised] = await alertEvents(syncId);
    expect(deliveries).toMatchObject([
      {
        type: "delivery.pending",
        machine: DELIVERY_MACHINE,
        data: {
          event: "sync.alert.raised",
          event_id: raised?.id,
          sync_run_id: runId,
          retry_delays_ms: [4_000, 8_000, 16_000, 32_000, 64_000],
        },
      },
      { data: { event: "sync.alert.resolved", sync_run_id: runId + 1 } },
    ]);
    const payloads = deliveries.map(({ data }) => (data as { payload: string }).payload);
    const id = (raised!.data as { alert_instance_id: number }).alert_instance_id;
    const link = (run: number) => `https://egret.example/syncs/${syncId}/runs/${run}`;
    expect(payloads).toEqual([
      `{"workspace_id":12,"sync_id":${syncId},"sync_run_id":${runId},"alert_instance_id":${id},"alert_type":"FailureAlertConfiguration",` +
        `"message":"Sync Failed","details":"Sync has failed with error: it took too long","followup_url":"${link(runId)}","event":"sync.alert.raised"}`,
      `{"workspace_id":12,"sync_id":${syncId},"sync_run_id":${runId + 1},"alert_instance_id":${id},"alert_type":"FailureAlertConfiguration",` +
        `"message":"Sync Recovered","details":"Sync has recovered","followup_url":"${link(runId + 1)}","event":"sync.alert.resolved"}`,
    ]);
  });

  test("nothing when an alert closes because nobody watches any more", async () => {
    const syncId = newSync();
    await configure(syncId, [failure]);
    await play({ syncId, outcome: "failed" });
    await configure(syncId, []);
    const data = { workspace_id: WORKSPACE, kind: "sync", object_id: syncId };
    await handle({ type: "config.updated", data } as Parameters<typeof handle>[0]);
    expect((await alertEvents(syncId)).map(({ type }) => type)).toEqual(["alert.raised", "alert.resolved"]);
    expect((await tell(syncId, 42)).asked).toEqual(["sync.alert.raised"]);
  });

  test("should_send_recovery is for people: webhooks hear of the resolution either way", async () => {
    const syncId = newSync();
    await configure(syncId, [{ ...failure, should_send_recovery: false }]);
    await play({ syncId, outcome: "failed" });
    await play({ syncId });
    expect((await tell(syncId, 43)).asked).toEqual(["sync.alert.raised", "sync.alert.resolved"]);
  });

  test("a replay of what a webhook missed has them too, and only those that it subscribed to", async () => {
    const syncId = newSync();
    await configure(syncId, [failure]);
    // The log tells of no more than the last days what was delivered.
    await clock.advance(Date.now() - clock.now());
    const since = new Date(clock.now()).toISOString();
    await play({ syncId, outcome: "failed" });
    await play({ syncId });
    await pool.query("insert into egret.workspaces (id, name) overriding system value values ($1, 'w')", [
      WORKSPACE,
    ]);
    await pool.query(
      `insert into egret.webhooks (id, workspace_id, name, endpoint, events, secret, created_at) overriding system value
       values (51, $1, 'all', 'https://a.example', $2, 'x', '2020-01-01'),
              (52, $1, 'raised', 'https://b.example', '{sync.alert.raised}', 'x', '2020-01-01'),
              (53, $1, 'runs', 'https://c.example', '{sync.failed}', 'x', '2020-01-01')`,
      [WORKSPACE, [...LIFECYCLE_EVENTS]],
    );
    const until = new Date(clock.now() + 1).toISOString();
    const missed = (webhook_id: number) =>
      previewReplay(
        { db, connection, log },
        { workspaceId: WORKSPACE, wanted: { kind: "missed_events", webhook_id, since, until } },
      );
    // 4 events of each run, and the alert's two.
    expect(await missed(51)).toBe(10);
    expect(await missed(52)).toBe(1);
    expect(await missed(53)).toBe(1);
  });
});

describe("an alert's actor", () => {
  const facts = fc.array(
    fc.constantFrom(
      "limit.violated" as const,
      "moment.came" as const,
      "limit.kept" as const,
      "watch.ended" as const,
    ),
    { minLength: 1, maxLength: 20 },
  );
  const aggregate = { kind: "alert", workspaceId: 12, syncId: 88, alertId: 31 } as const;

  test("I3: is the same from its last event as from its whole history", () => {
    fc.assert(
      fc.property(facts, (drawn) => {
        const history = stored(alertHistory({ alertId: 31, facts: drawn }));
        const last = history.at(-1);
        if (last === undefined) return;
        const [folded, resumed] = [replayAlert(aggregate, history), resumeAlert(aggregate, last)];
        expect(resumed.context).toEqual(folded.context);
        expect(resumed.isRaised).toBe(folded.isRaised);
        expect(resumed.head).toEqual(folded.head);
      }),
    );
  });
});
