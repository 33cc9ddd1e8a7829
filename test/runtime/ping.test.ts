import { Webhook as Verifier } from "standardwebhooks";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Webhook } from "../../src/domain/configuration.ts";
import { pingWebhook } from "../../src/runtime/deliveries/ping.ts";
import { openOutboundPools } from "../../src/security/outboundPools.ts";
import { newWebhookSecret, signBody } from "../../src/security/signature.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const pools = openOutboundPools({ allowHttp: true, outboundAllow: [] }, { connections: 1 });
const secret = newWebhookSecret();
let receiver: Receiver;

beforeAll(async () => {
  receiver = await startReceiver();
});
afterAll(async () => {
  await pools.close();
  await receiver.close();
});

const hook = (changes: Partial<Webhook> = {}): Webhook => ({
  id: 14,
  workspaceId: 12,
  name: "pager",
  endpoint: `${receiver.url}/hook`,
  events: [],
  enabled: true,
  createdAt: new Date(0),
  secret,
  ...changes,
});
const ping = (webhook = hook()) => pingWebhook(webhook, { pools, userAgent: "test" });

test("sends one signed request with the documented body and shows what came back", async () => {
  receiver.behave({ status: 202, body: "hello there", headers: { "x-served-by": "me" } });
  const before = receiver.requests.length;
  const { isAccepted, eventId, answer } = await ping();
  expect(isAccepted).toBe(true);
  const [request, ...more] = receiver.requests.slice(before);
  expect(more).toEqual([]);
  expect(request?.body.toString()).toBe('{"event":"ping","workspace_id":12}');
  expect(request?.headers).toMatchObject({
    "x-event-id": eventId,
    "x-webhook-id": "14",
    "x-delivery-attempt": "1",
    "x-signature": signBody(secret, request?.body ?? Buffer.alloc(0)),
  });
  expect(() =>
    new Verifier(secret).verify(request?.body ?? "", request?.headers as Record<string, string>),
  ).not.toThrow();
  expect(answer).toMatchObject({ kind: "response", httpStatus: 202 });
  expect(answer.exchange).toMatchObject({
    responseHeaders: { "x-served-by": "me" },
    responseBody: "hello there",
    split: { totalMs: expect.any(Number), firstByteMs: expect.any(Number) },
  });
  // What is shown holds no signature.
  expect(JSON.stringify(answer.exchange)).not.toContain(String(request?.headers["x-signature"]));
});

test.each([
  ["a refusal", { status: 410, body: "gone" }, "HTTP"],
  ["a redirect", { status: 302, headers: { location: "/elsewhere" } }, "HTTP"],
  ["a broken connection", { reset: true }, "connection reset"],
] as const)("shows %s, and does not try again", async (_name, behaviour, error) => {
  receiver.behave(behaviour);
  const before = receiver.requests.length;
  const { isAccepted, answer } = await ping();
  expect(isAccepted).toBe(false);
  expect(answer.kind === "failed" ? answer.error : "HTTP").toContain(error);
  expect(receiver.requests.length - before).toBe(1);
});

test("reaches a webhook that is paused or disabled: that is when one wants to know", async () => {
  receiver.behave({});
  expect((await ping(hook({ enabled: false, paused: true }))).isAccepted).toBe(true);
});
