import { Agent } from "undici";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { createHttpRequestSender } from "../../src/destinations/httpRequest.ts";
import { type HttpRequestDestination, type HttpRequestSecrets } from "../../src/domain/configuration.ts";
import { httpRequestSettings } from "../../src/domain/httpRequestDestination.ts";
import { destinationSuite } from "../suites/destinationSuite.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const agent = new Agent();
afterAll(() => agent.destroy());
const sender = createHttpRequestSender({ dispatcher: agent, version: "1.2.3" });

function destination(
  settings: Record<string, unknown>,
  secrets: HttpRequestSecrets = {},
): HttpRequestDestination {
  return {
    id: 6,
    workspaceId: 1,
    name: "CRM",
    type: "http_request",
    settings: httpRequestSettings.parse(settings),
    secrets,
  };
}

destinationSuite("http_request", {
  sender: () => sender,
  destination: (url, { secret, rowResults } = {}) =>
    destination(
      { url, timeout_seconds: 1, row_results: rowResults },
      secret === undefined ? {} : { headers: { "X-Api-Key": secret }, url_parameters: { key: secret } },
    ),
});

const body = Buffer.from('{"a":1}');
const json = "application/json; charset=utf-8";

describe("an http_request destination", () => {
  let receiver: Receiver;
  beforeEach(async () => {
    receiver = await startReceiver();
  });
  afterEach(() => receiver.close());

  test("gets the stored method, path and bytes below its URL, with its headers and parameters", async () => {
    const target = destination(
      { url: `${receiver.url}/v2/` },
      { headers: { "X-Team": "ops" }, url_parameters: { api_key: "k&=1" } },
    );
    const request = { method: "PUT", path: "/contacts/a%2Fb?dry=1", contentType: json } as const;
    await sender.sendBatch(target, { body, request, idempotencyKey: "7-3.1" });
    const [sent] = receiver.requests;
    expect(sent).toMatchObject({ method: "PUT", path: "/v2/contacts/a%2Fb?dry=1&api_key=k%26%3D1" });
    expect(sent?.body).toEqual(body);
    const { host: _host, connection: _connection, ...headers } = sent?.headers ?? {};
    expect(headers).toEqual({
      "content-type": json,
      "content-length": "7",
      "user-agent": "egret/1.2.3",
      "idempotency-key": "7-3.1",
      "x-team": "ops",
    });
  });

  test("gets no body where its request has none", async () => {
    const request = { method: "DELETE", path: "/contacts/1", contentType: null } as const;
    const target = destination({ url: receiver.url });
    await sender.sendBatch(target, { body: Buffer.alloc(0), request, idempotencyKey: "7-3" });
    expect(receiver.requests[0]?.headers["content-type"]).toBeUndefined();
    expect(receiver.requests[0]?.body).toHaveLength(0);
  });

  test.each([
    [200, true],
    [204, true],
    [404, true],
    [401, false],
    [403, false],
    [500, false],
  ])("is tested by HEAD at its URL: HTTP %i passes: %s", async (status, ok) => {
    receiver.behave({ status });
    expect(await sender.testConnection(destination({ url: `${receiver.url}/v2` }))).toMatchObject({ ok });
    expect(receiver.requests[0]).toMatchObject({ method: "HEAD", path: "/v2" });
  });
});

describe("access by OAuth client credentials", () => {
  let api: Receiver;
  let issuer: Receiver;
  let nowMs = 1_000_000;
  const now = () => nowMs;
  beforeEach(async () => {
    [api, issuer] = [await startReceiver(), await startReceiver()];
    issuer.behave((_request, attempt) => ({
      body: JSON.stringify({
        access_token: `token-${attempt}-of-many`,
        token_type: "bearer",
        expires_in: 600,
      }),
    }));
  });
  afterEach(async () => {
    await api.close();
    await issuer.close();
  });

  const secret = "s3cret of the client+&";
  const target = (changes: Record<string, unknown> = {}) =>
    destination(
      {
        url: api.url,
        oauth: {
          token_url: `${issuer.url}/token`,
          client_id: "egret:1",
          scopes: ["rows.write", "rows.read"],
          ...changes,
        },
      },
      { oauth_client_secret: secret },
    );
  const fresh = () => createHttpRequestSender({ dispatcher: agent, version: "1.2.3", now });
  const send = (by: ReturnType<typeof fresh>, to = target()) =>
    by.sendBatch(to, {
      body,
      request: { method: "POST", path: "/rows", contentType: json },
      idempotencyKey: "7-1",
    });

  test("asks once for a token, with id and secret as Basic authorization, and uses it until it runs out", async () => {
    const by = fresh();
    await Promise.all([send(by), send(by), send(by)]);
    expect(issuer.requests).toHaveLength(1);
    const [asked] = issuer.requests;
    expect(Object.fromEntries(new URLSearchParams(asked?.body.toString()))).toEqual({
      grant_type: "client_credentials",
      scope: "rows.write rows.read",
    });
    const basic = Buffer.from(`egret%3A1:${encodeURIComponent(secret)}`).toString("base64");
    expect(asked?.headers["authorization"]).toBe(`Basic ${basic}`);
    expect(api.requests.map(({ headers }) => headers["authorization"])).toEqual(
      Array<string>(3).fill("Bearer token-1-of-many"),
    );
    nowMs += 539_000;
    await send(by);
    expect(issuer.requests).toHaveLength(1);
    nowMs += 2_000;
    await send(by);
    expect(issuer.requests).toHaveLength(2);
    expect(api.requests.at(-1)?.headers["authorization"]).toBe("Bearer token-2-of-many");
  });

  test("gives id and secret in the form where the endpoint wants them there, and the prefix that the API wants", async () => {
    await send(fresh(), target({ send_credentials: "body", header_prefix: "Token" }));
    const [asked] = issuer.requests;
    expect(Object.fromEntries(new URLSearchParams(asked?.body.toString()))).toMatchObject({
      client_id: "egret:1",
      client_secret: secret,
    });
    expect(asked?.headers["authorization"]).toBeUndefined();
    expect(api.requests[0]?.headers["authorization"]).toBe("Token token-1-of-many");
  });

  test("replaces a refused token once, and takes a second 401 for an answer", async () => {
    const by = fresh();
    api.behave((request) => ({
      status: request.headers["authorization"] === "Bearer token-2-of-many" ? 200 : 401,
    }));
    expect(await send(by)).toMatchObject({ kind: "accepted" });
    expect([api.requests.length, issuer.requests.length]).toEqual([2, 2]);
    api.behave({ status: 401 });
    expect(await send(by)).toMatchObject({ kind: "refused", httpStatus: 401 });
    expect([api.requests.length, issuer.requests.length]).toEqual([4, 3]);
  });

  test.each([
    [
      { status: 400, body: '{"error":"invalid_client"}' },
      { kind: "refused", httpStatus: 401 },
      "HTTP 400, invalid_client",
    ],
    [{ status: 503 }, { kind: "retryable", httpStatus: 503 }, "HTTP 503"],
    [{ status: 200, body: '{"access_token":"a b\\n"}' }, { kind: "refused", httpStatus: 401 }, "HTTP 200"],
    [{ reset: true }, { kind: "retryable", httpStatus: null }, "connection"],
  ])("sends no row without a token: %j", async (answer, result, words) => {
    issuer.behave(answer);
    const got = await send(fresh());
    expect(got).toMatchObject({ ...result, error: expect.stringContaining(words) });
    expect(api.requests).toHaveLength(0);
    expect(JSON.stringify(got)).not.toContain(secret);
  });

  test("never shows secret or token, though both servers repeat what they were sent", async () => {
    const echo = (request: { headers: object; body: Buffer }) =>
      `${JSON.stringify(request.headers)}${request.body.toString()}`;
    api.behave((request) => ({ status: 422, body: echo(request) }));
    const refused = await send(fresh(), target({ send_credentials: "body" }));
    issuer.behave((request) => ({ status: 400, body: JSON.stringify({ error: echo(request) }) }));
    const untold = await send(fresh(), target({ send_credentials: "body" }));
    expect(refused).toMatchObject({ kind: "refused", httpStatus: 422 });
    for (const result of [refused, untold].map((each) => JSON.stringify(each))) {
      expect(result).not.toContain("token-1-of-many");
      expect(result).not.toContain(secret);
      expect(result).not.toContain(encodeURIComponent(secret));
    }
  });
});
