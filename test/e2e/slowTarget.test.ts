import { afterAll, beforeAll, expect, test } from "vitest";
import { lifecyclePayload } from "../../src/domain/lifecycle.ts";
import { type PendingData, sha256Hex } from "../../src/runtime/deliveries/deliveryActor.ts";
import { DeliveryIntake } from "../../src/runtime/deliveries/deliveryIntake.ts";
import { type AppliedYaml, applyYaml, testEgret } from "../support/egret.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const egret = await testEgret();
const PER_WEBHOOK = 40;
let healthy: Receiver;
let hanging: Receiver;
let applied: AppliedYaml;

beforeAll(async () => {
  [healthy, hanging] = await Promise.all([startReceiver(), startReceiver({ hang: true })]);
  applied = await applyYaml(
    egret,
    `
workspace: demo
webhooks:
  healthy: { endpoint: "${healthy.url}" }
  hanging: { endpoint: "${hanging.url}" }
`,
  );
});
afterAll(async () => {
  await Promise.all([healthy.close(), hanging.close()]);
});

function delivery(webhookId: number, runId: number): PendingData {
  const payload = lifecyclePayload({ event: "sync.started", workspaceId: 1, syncId: 1, runId });
  return {
    workspace_id: 1,
    target_kind: "webhook",
    target_id: webhookId,
    delivery_id: `${runId}-2-${webhookId}`,
    sync_id: 1,
    sync_run_id: runId,
    fact: "created",
    event: "sync.started",
    event_id: `018f0000-0000-7000-8000-${String(runId).padStart(12, "0")}`,
    retry_delays_ms: [4_000],
    timeout_ms: 10_000,
    records: 0,
    payload,
    payload_sha256: sha256Hex(payload),
  };
}

test("I7: a webhook that hangs takes its own slots, and the deliveries of another arrive meanwhile", async () => {
  const intake = new DeliveryIntake(egret.services.log);
  const [healthyId, hangingId] = [
    await applied.id("webhook", "healthy"),
    await applied.id("webhook", "hanging"),
  ];
  // The hanging one's come first, and are more than the slots of the whole process would be without bounds.
  for (let runId = 1; runId <= PER_WEBHOOK * 5; runId++) await intake.create(delivery(hangingId, runId));
  await hanging.waitFor(5);
  for (let runId = 1; runId <= PER_WEBHOOK; runId++) await intake.create(delivery(healthyId, runId));
  await healthy.waitFor(PER_WEBHOOK, 8_000);
  // None of the hanging requests had ended: the others did not wait for a time-out.
  expect(hanging.requests).toHaveLength(5);
});
