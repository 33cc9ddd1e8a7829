import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Agent } from "undici";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { BODY_EXCERPT_BYTES, post } from "../../src/destinations/httpPost.ts";

const agent = new Agent({ connections: 1 });
afterAll(() => agent.destroy());
let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function listen(listener: RequestListener): Promise<string> {
  const started = createServer(listener);
  server = started;
  await new Promise<void>((resolve) => started.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(started.address() as AddressInfo).port}/`;
}

const request = (url: string, timeoutMs: number) => ({
  url,
  timeoutMs,
  method: "POST" as const,
  headers: {},
  body: Buffer.from("{}"),
  dispatcher: agent,
});

describe("post", () => {
  test("counts a status line in time even when the body never ends", async () => {
    const url = await listen((_request, response) => {
      response.writeHead(200).write("so far");
    });
    const result = await post(request(url, 300));
    expect(result).toMatchObject({ kind: "response", httpStatus: 200, bodyExcerpt: "so far" });
    expect(result.durationMs).toBeLessThan(300);
  });

  test("gives up at the deadline when no status line comes", async () => {
    const url = await listen(() => undefined);
    expect(await post(request(url, 200))).toMatchObject({
      kind: "failed",
      timedOut: true,
      error: "no answer within 0.2 s",
    });
  });

  test("keeps four kilobytes of an endless body and leaves the rest", async () => {
    let written = 0;
    const url = await listen((_request, response) => {
      response.writeHead(500);
      const more = (): void => {
        while (!response.destroyed && response.write("x".repeat(65_536))) written += 65_536;
      };
      response.on("drain", more);
      more();
    });
    const result = await post(request(url, 5_000));
    expect(result.kind === "response" && result.bodyExcerpt).toBe("x".repeat(BODY_EXCERPT_BYTES));
    expect(written).toBeLessThan(64 << 20);
  });

  test("uses a connection again after a body that was discarded", async () => {
    const ports = new Set<number | undefined>();
    const url = await listen((incoming, response) => {
      ports.add(incoming.socket.remotePort);
      incoming.resume().on("end", () => response.end("x".repeat(20_000)));
    });
    for (let turn = 0; turn < 3; turn += 1) await post(request(url, 5_000));
    expect(ports.size).toBe(1);
  });

  test("keeps the status of an answer whose body breaks off", async () => {
    const url = await listen((_request, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => response.destroy());
    });
    expect(await post(request(url, 5_000))).toMatchObject({ kind: "response", httpStatus: 200 });
  });

  test("names a failure by its kind, not by what the driver says", async () => {
    const url = await listen((incoming) => incoming.socket.end("HTTP/1.1 this is no status line\r\n\r\n"));
    const expected = { kind: "failed", timedOut: false, error: "the answer was not HTTP" };
    expect(await post(request(url, 5_000))).toMatchObject(expected);
  });

  test("does not start when it is aborted already", async () => {
    const url = await listen(() => undefined);
    await expect(
      post({ ...request(url, 100), signal: AbortSignal.abort(new Error("stop")) }),
    ).rejects.toThrow("stop");
  });
});
