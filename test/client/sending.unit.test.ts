import { ApiError, ApiUnreachable, type ClientOptions, createClient, each } from "egret/client";
import { describe, expect, test, vi } from "vitest";

interface Seen {
  method: string;
  url: string;
  headers: Headers;
  body: string | null;
}

/** A client whose requests are answered in turn; the last answer is given from then on. */
function clientFor(
  answers: readonly (() => Response | Promise<Response>)[],
  options: Partial<ClientOptions> = {},
) {
  const seen: Seen[] = [];
  const fetch: typeof globalThis.fetch = async (url, { method = "GET", headers, body, signal } = {}) => {
    seen.push({
      method,
      url: url as string,
      headers: new Headers(headers),
      body: typeof body === "string" ? body : null,
    });
    signal?.throwIfAborted();
    const answer = answers[Math.min(seen.length, answers.length) - 1];
    if (answer === undefined) throw new Error("no answer was given to the test");
    return answer();
  };
  return {
    seen,
    client: createClient({ url: "https://egret.example", token: "secret-token:t", fetch, ...options }),
  };
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}) =>
  () =>
    new Response(JSON.stringify(body), { status, headers });
const ok = json(200, { status: "success", data: { id: 7 } }, { ETag: '"3"', "X-Request-Id": "r1" });
const busy = (status: number, retryAfter = "0") =>
  json(status, { status: "error", message: "busy" }, { "Retry-After": retryAfter });
const unreachable = () =>
  Promise.reject(new TypeError("fetch failed", { cause: new Error("connect refused") }));

describe("the client's requests", () => {
  test("go below /api/v1 whether or not the address names it", async () => {
    for (const url of ["https://a.example", "https://a.example/api/v1/", "https://a.example/egret/"]) {
      const { client, seen } = clientFor([ok], { url });
      await client.getOwnWorkspace();
      expect(seen[0]?.url).toMatch(/^https:\/\/a\.example(\/egret)?\/api\/v1\/workspace$/);
    }
  });

  test("carry the token, the path, the query and the body", async () => {
    const { client, seen } = clientFor([ok]);
    await client.updateWebhook({ path: { id: 7 }, body: { enabled: false } }, { ifMatch: '"3"' });
    await client.listWebhookDeliveries({
      path: { id: 7 },
      query: { state: "dead", page: 2, event: undefined },
    });

    expect(seen[0]).toMatchObject({ method: "PATCH", body: '{"enabled":false}' });
    expect(seen[0]?.url).toBe("https://egret.example/api/v1/webhooks/7");
    expect(seen[0]?.headers.get("Authorization")).toBe("Bearer secret-token:t");
    expect(seen[0]?.headers.get("Content-Type")).toBe("application/json");
    expect(seen[0]?.headers.get("If-Match")).toBe('"3"');
    expect(seen[1]?.url).toBe("https://egret.example/api/v1/webhooks/7/deliveries?state=dead&page=2");
    expect(seen[1]?.headers.get("Content-Type")).toBeNull();
  });

  test("encode what stands in the path", async () => {
    const { client, seen } = clientFor([ok]);
    await client.getWebhookDelivery({ path: { did: "../workspaces?x=1" } });
    expect(seen[0]?.url).toBe("https://egret.example/api/v1/webhook_deliveries/..%2Fworkspaces%3Fx%3D1");
  });

  test("resolve with the body, or by call with what stands around it", async () => {
    const { client } = clientFor([ok]);
    expect(await client.getWebhook({ path: { id: 7 } })).toEqual({ status: "success", data: { id: 7 } });
    expect(await client.call("getWebhook", { path: { id: 7 } })).toMatchObject({
      status: 200,
      etag: '"3"',
      requestId: "r1",
    });
  });

  test.each([
    ["egret.example", "the address is none"],
    ["ftp://egret.example", "must begin with https"],
    ["https://bearer:secret@egret.example", "must not hold a token"],
  ])("are not sent to %s", (url, message) => {
    expect(() => createClient({ url, token: "t" })).toThrow(message);
    expect(() => createClient({ url: "https://egret.example", token: "" })).toThrow("the token is empty");
  });
});

describe("refusals", () => {
  test("become an ApiError with status, message, fields and request", async () => {
    const errors = [{ field: "endpoint", message: "Must be an https:// address." }];
    const refused = json(
      400,
      { status: "error", message: "endpoint: Must be…", code: 400, errors },
      { "X-Request-Id": "r9" },
    );
    const { client, seen } = clientFor([refused]);
    const error = await client
      .createWebhook({ body: { name: "x", endpoint: "ftp://x" } })
      .catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      name: "ApiError",
      operation: "createWebhook",
      status: 400,
      message: "endpoint: Must be…",
      errors,
      requestId: "r9",
    });
    expect(seen).toHaveLength(1);
  });

  test("of a proxy, which are no JSON, are told by their status", async () => {
    const { client } = clientFor([() => new Response("<html>", { status: 403 })]);
    await expect(client.getOwnWorkspace()).rejects.toMatchObject({
      status: 403,
      message: /HTTP 403/,
      errors: [],
    });
  });

  test("a success that is no JSON is no answer of an Egret", async () => {
    const { client } = clientFor([() => new Response("<html>")], { retries: 0 });
    await expect(client.getOwnWorkspace()).rejects.toThrow("is it the address of an Egret?");
  });
});

describe("repeating", () => {
  test.each([429, 503])(
    "waits as long as Retry-After of %i says, then sends the same again",
    async (status) => {
      const { client, seen } = clientFor([busy(status), busy(status), ok]);
      await client.pingWebhook({ path: { id: 7 } });

      expect(seen).toHaveLength(3);
      expect(new Set(seen.map(({ headers }) => headers.get("Idempotency-Key"))).size).toBe(1);
    },
  );

  test("waits in seconds", async () => {
    vi.useFakeTimers();
    try {
      const { client, seen } = clientFor([busy(429, "20"), ok]);
      const answer = client.getOwnWorkspace();
      await vi.advanceTimersByTimeAsync(19_900);
      expect(seen).toHaveLength(1);
      await vi.advanceTimersByTimeAsync(200);
      await expect(answer).resolves.toBeTruthy();
      expect(seen).toHaveLength(2);
    } finally {
      vi.useRealTimers();
    }
  });

  test("does not wait longer than it may, but says how long it would be", async () => {
    const { client, seen } = clientFor([busy(429, "3600"), ok]);
    await expect(client.getOwnWorkspace()).rejects.toMatchObject({ status: 429, retryAfterMs: 3_600_000 });
    expect(seen).toHaveLength(1);
  });

  test("ends after the retries that are left", async () => {
    const { client, seen } = clientFor([busy(503)], { retries: 2 });
    await expect(client.getOwnWorkspace()).rejects.toMatchObject({ status: 503, message: "busy" });
    expect(seen).toHaveLength(3);
  });

  test("helps where no answer came, for a POST under the same key", async () => {
    const { client, seen } = clientFor([unreachable, ok]);
    await client.pingWebhook({ path: { id: 7 } }, { idempotencyKey: "k1" });
    expect(seen.map(({ headers }) => headers.get("Idempotency-Key"))).toEqual(["k1", "k1"]);
  });

  test("is not done for a change under an ETag, whose first try may have been done", async () => {
    const { client, seen } = clientFor([unreachable, ok]);
    const change = client.updateWebhook({ path: { id: 7 }, body: { enabled: true } }, { ifMatch: '"3"' });
    await expect(change).rejects.toThrow("https://egret.example cannot be reached: connect refused");
    expect(seen).toHaveLength(1);
  });

  test.each([400, 401, 404, 409, 500])("is not done after %i", async (status) => {
    const { client, seen } = clientFor([json(status, { message: "no" }), ok]);
    await expect(client.getOwnWorkspace()).rejects.toMatchObject({ status });
    expect(seen).toHaveLength(1);
  });
});

describe("time", () => {
  const never = (signal: AbortSignal | null | undefined) =>
    new Promise<Response>((_, reject) =>
      signal?.addEventListener("abort", () => reject(signal.reason as Error)),
    );
  const stalled: typeof globalThis.fetch = (_, options) => never(options?.signal);

  test("that passes without an answer is an ApiUnreachable that says so", async () => {
    const { client } = clientFor([], { fetch: stalled, timeoutMs: 20, retries: 1 });
    const error = await client.getOwnWorkspace().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiUnreachable);
    expect(error).toMatchObject({
      isTimeout: true,
      message: "https://egret.example did not answer within 0.02 s",
    });
  });

  test("ends with the caller's signal, with its reason, and nothing is sent again", async () => {
    const stop = new AbortController();
    const { client } = clientFor([], { fetch: stalled });
    const answer = client.getOwnWorkspace({}, { signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(answer).rejects.toThrow("enough");
  });

  test("the signal also ends a wait between tries", async () => {
    const stop = new AbortController();
    const { client, seen } = clientFor([busy(429, "50")]);
    const answer = client.getOwnWorkspace({}, { signal: stop.signal });
    await vi.waitFor(() => expect(seen).toHaveLength(1));
    stop.abort(new Error("enough"));
    await expect(answer).rejects.toThrow("enough");
  });
});

describe("each", () => {
  const page = (ids: number[], next_cursor: string | null) =>
    json(200, {
      status: "success",
      data: ids.map((id) => ({ id })),
      pagination: { next_cursor, next_page: null },
    });

  test("goes through all pages by cursor, keeping what was asked", async () => {
    const { client, seen } = clientFor([page([9, 8], "8"), page([7], null)]);
    const ids: number[] = [];
    for await (const { id } of each(client.listDestinations, { query: { order: "desc" } })) ids.push(id);

    expect(ids).toEqual([9, 8, 7]);
    expect(seen.map(({ url }) => new URL(url).search)).toEqual([
      "?per_page=100&order=desc",
      "?per_page=100&order=desc&cursor=8",
    ]);
  });

  test("asks for no page that is not needed", async () => {
    const { client, seen } = clientFor([page([9, 8], "8")]);
    for await (const { id } of each(client.listDestinations)) {
      if (id === 8) break;
    }
    expect(seen).toHaveLength(1);
  });
});
