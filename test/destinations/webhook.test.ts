import { Agent } from "undici";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { createWebhookSender } from "../../src/destinations/webhook.ts";
import {
  type WebhookDestination,
  type WebhookDestinationSecrets,
  webhookDestinationSettings,
} from "../../src/domain/configuration.ts";
import { destinationSuite } from "../suites/destinationSuite.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const agent = new Agent();
afterAll(() => agent.destroy());
const sender = createWebhookSender({ dispatcher: agent, version: "1.2.3" });

function destination(
  settings: Record<string, unknown>,
  secrets: WebhookDestinationSecrets = {},
): WebhookDestination {
  return {
    id: 5,
    workspaceId: 1,
    name: "Ops hook",
    type: "webhook",
    settings: webhookDestinationSettings.parse(settings),
    secrets,
  };
}

destinationSuite("webhook", {
  sender: () => sender,
  destination: (url, { secret, rowResults } = {}) =>
    destination(
      { url, timeout_seconds: 1, auth_token_header: "X-Api-Key", row_results: rowResults },
      secret === undefined
        ? {}
        : { auth_token: `Bearer ${secret}`, signing_secret: secret, headers: { "X-Team": secret } },
    ),
});

describe("a webhook destination", () => {
  let receiver: Receiver;
  beforeEach(async () => {
    receiver = await startReceiver();
  });
  afterEach(() => receiver.close());
  const body = Buffer.from('{"a":1}');

  test("gets the exact bytes with the plain headers, and no others of ours", async () => {
    await sender.sendBatch(destination({ url: `${receiver.url}/in?x=1` }), {
      body,
      idempotencyKey: "7011-3",
    });
    const [request] = receiver.requests;
    expect(request).toMatchObject({ method: "POST", path: "/in?x=1" });
    expect(request?.body).toEqual(body);
    const { host: _host, connection: _connection, ...headers } = request?.headers ?? {};
    expect(headers).toEqual({
      "content-type": "application/json; charset=utf-8",
      "content-length": "7",
      "user-agent": "egret/1.2.3",
      "idempotency-key": "7011-3",
    });
  });

  test("gets its token verbatim in the header it named, and the signature of the body", async () => {
    const target = destination(
      { url: receiver.url, auth_token_header: "X-Api-Key", method: "PUT" },
      { auth_token: "Bearer x y", signing_secret: "s3cret" },
    );
    await sender.sendBatch(target, { body, idempotencyKey: "1-1" });
    expect(receiver.requests[0]).toMatchObject({
      method: "PUT",
      headers: { "x-api-key": "Bearer x y", "x-signature": "WRDmIBbvUDQnLJJsJwcZkqRlwjNc7PQYUb2gcVd/T20=" },
    });
  });

  test("is tested by one POST with an empty body and the same headers", async () => {
    const target = destination({ url: receiver.url, method: "PATCH" }, { auth_token: "t" });
    expect(await sender.testConnection(target)).toEqual({
      ok: true,
      httpStatus: 200,
      message: "The destination answered the test with HTTP 200.",
    });
    expect(receiver.requests).toHaveLength(1);
    expect(receiver.requests[0]).toMatchObject({
      method: "POST",
      body: Buffer.alloc(0),
      headers: { authorization: "t", "user-agent": "egret/1.2.3" },
    });
  });

  test("passes its test with exactly 200", async () => {
    receiver.behave({ status: 204 });
    expect(await sender.testConnection(destination({ url: receiver.url }))).toMatchObject({
      ok: false,
      httpStatus: 204,
    });
  });

  test("is asked by HEAD first when it wants that, and by POST when HEAD fails", async () => {
    const target = destination({ url: receiver.url, test_method: "head_then_post" });
    expect((await sender.testConnection(target)).ok).toBe(true);
    receiver.behave((request) => ({ status: request.method === "HEAD" ? 405 : 200 }));
    expect((await sender.testConnection(target)).ok).toBe(true);
    expect(receiver.requests.map((request) => request.method)).toEqual(["HEAD", "HEAD", "POST"]);
  });

  test("has as long to answer as its settings say", async () => {
    receiver.behave({ hang: true });
    const result = await sender.sendBatch(destination({ url: receiver.url, timeout_seconds: 1 }), {
      body,
      idempotencyKey: "1-1",
    });
    expect(result).toMatchObject({ kind: "retryable", httpStatus: null, error: "no answer within 1 s" });
    expect(result.durationMs).toBeGreaterThanOrEqual(990);
  });

  test("is told of with what was said, and its secrets by name only", async () => {
    const target = destination(
      { url: receiver.url, auth_token_header: "X-Api-Key" },
      { auth_token: "hunter2-hunter2", signing_secret: "s3cret", headers: { "X-Tenant": "acme-internal" } },
    );
    receiver.behave({
      status: 422,
      headers: { "x-echo": "acme-internal" },
      body: "key hunter2-hunter2 is unknown",
    });
    const result = await sender.sendBatch(target, { body, idempotencyKey: "1-1" });
    expect(result).toMatchObject({
      kind: "refused",
      statusMessage: "HTTP 422: key *** is unknown",
      exchange: {
        requestHeaders: {
          "x-api-key": "***",
          "x-tenant": "***",
          "x-signature": "***",
          "idempotency-key": "1-1",
        },
        responseHeaders: { "x-echo": "***" },
        responseBody: "key *** is unknown",
      },
    });
    expect(receiver.requests[0]?.headers).toMatchObject({ "x-tenant": "acme-internal" });
  });

  test("is reached through the pool of its own TLS settings, for batches and for tests", async () => {
    const tls = { ca: "pem" };
    const asked: unknown[] = [];
    const own = createWebhookSender({
      dispatcher: new Agent(),
      dispatcherFor: (wanted) => {
        asked.push(wanted);
        return agent;
      },
      version: "1.2.3",
    });
    const target = destination({ url: receiver.url }, { tls });
    expect(await own.sendBatch(target, { body, idempotencyKey: "1-1" })).toMatchObject({ kind: "accepted" });
    expect(await own.testConnection(target)).toMatchObject({ ok: true });
    expect(asked).toEqual([tls, tls]);
  });

  test("never sees its secrets in a result", async () => {
    const target = destination(
      { url: "http://127.0.0.1:1/?token=hunter2" },
      { auth_token: "hunter2", signing_secret: "hunter2" },
    );
    expect(JSON.stringify(await sender.sendBatch(target, { body, idempotencyKey: "1-1" }))).not.toContain(
      "hunter2",
    );
    const broken = destination({ url: receiver.url }, { auth_token: "hunter2\nx: y" });
    const result = await sender.sendBatch(broken, { body, idempotencyKey: "1-1" });
    expect(result).toMatchObject({ kind: "retryable", httpStatus: null });
    expect(JSON.stringify(result)).not.toContain("hunter2");
  });
});
