import { Agent } from "undici";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Webhook } from "../../src/domain/configuration.ts";
import type { PendingData } from "../../src/runtime/deliveries/deliveryActor.ts";
import { webhookTarget } from "../../src/runtime/deliveries/webhookTarget.ts";
import { newWebhookSecret } from "../../src/security/signature.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const dispatcher = new Agent();
afterAll(() => dispatcher.destroy());
let receiver: Receiver;
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(() => receiver.close());

const hook = (changes: Partial<Webhook> = {}): Webhook => ({
  id: 14,
  workspaceId: 1,
  name: "pager",
  endpoint: receiver.url,
  events: [],
  enabled: true,
  createdAt: new Date(0),
  secret: newWebhookSecret(),
  ...changes,
});
const pending = {
  target_id: 14,
  delivery_id: "d1",
  event_id: "e1",
  payload: "{}",
  timeout_ms: 5_000,
} as PendingData;

describe("an attempt at a webhook", () => {
  test("tells what was said on the wire, with names and without signatures", async () => {
    const webhook = hook();
    receiver.behave({ status: 503, headers: { "x-reason": "busy" }, body: "come back later" });
    const target = webhookTarget({ readWebhook: async () => webhook, dispatcher, userAgent: "test" });
    const outcome = await target.attempt(pending, 2);
    expect(outcome).toMatchObject({
      kind: "failed",
      httpStatus: 503,
      exchange: {
        requestHeaders: {
          "x-delivery-attempt": "2",
          "x-event-id": "e1",
          "x-signature": "***",
          "webhook-signature": "***",
        },
        responseHeaders: { "x-reason": "busy" },
        responseBody: "come back later",
        split: { firstByteMs: expect.any(Number), totalMs: expect.any(Number) },
      },
    });
    const signature = receiver.requests[0]?.headers["x-signature"];
    expect(signature).toHaveLength(44);
    expect(JSON.stringify(outcome)).not.toContain(signature);
    receiver.behave({});
    expect(await target.attempt(pending, 3)).toMatchObject({
      kind: "accepted",
      exchange: { responseBody: "", split: { connectMs: null } },
    });
  });

  test("goes through the pool of the webhook's own TLS settings", async () => {
    const tls = { ca: "pem" };
    const asked: unknown[] = [];
    const target = webhookTarget({
      readWebhook: async () => hook({ tls }),
      dispatcher: new Agent(),
      dispatcherFor: (wanted) => {
        asked.push(wanted);
        return dispatcher;
      },
      userAgent: "test",
    });
    expect(await target.attempt(pending, 1)).toMatchObject({ kind: "accepted" });
    expect(asked).toEqual([tls]);
  });

  test("sends nothing when its TLS settings cannot be honoured", async () => {
    const target = webhookTarget({
      readWebhook: async () => hook({ tls: { ca: "pem" } }),
      dispatcher,
      userAgent: "test",
    });
    await expect(target.attempt(pending, 1)).rejects.toThrow("TLS settings");
    expect(receiver.requests).toEqual([]);
  });
});
