import { describe, expect, onTestFinished, test } from "vitest";
import { type Behaviour, type Receiver, startReceiver } from "./receiver.ts";

describe("the receiver", () => {
  test("keeps every request as it came, and answers by its number", async () => {
    const receiver = await start((_request, attempt) => ({
      status: attempt === 1 ? 503 : 200,
      headers: { "retry-after": "2" },
      body: `attempt ${attempt}`,
    }));

    const first = await fetch(`${receiver.url}/hook?a=1`, {
      method: "POST",
      body: "é",
      headers: { "x-id": "7" },
    });
    const second = await fetch(`${receiver.url}/hook`);

    expect([first.status, second.status]).toEqual([503, 200]);
    expect(first.headers.get("retry-after")).toBe("2");
    expect(await second.text()).toBe("attempt 2");
    expect(receiver.requests[0]).toMatchObject({
      method: "POST",
      path: "/hook?a=1",
      headers: { "x-id": "7" },
    });
    expect(receiver.requests[0]?.body).toEqual(Buffer.from("é"));
  });

  test("tells when enough have come, or why it gave up", async () => {
    const receiver = await start();
    const two = receiver.waitFor(2);
    const named = receiver.waitFor((requests) => requests.some(({ path }) => path === "/b"));
    await fetch(`${receiver.url}/a`);
    await fetch(`${receiver.url}/b`);

    expect((await two).map(({ path }) => path)).toEqual(["/a", "/b"]);
    expect(await named).toHaveLength(2);
    await expect(receiver.waitFor(3, 20)).rejects.toThrow("got 2 requests in 20 ms, not 3 requests");
  });

  test("hangs and breaks connections when asked", async () => {
    const receiver = await start({ hang: true });
    await expect(fetch(receiver.url, { signal: AbortSignal.timeout(50) })).rejects.toThrow("timeout");

    receiver.behave({ reset: true });
    await expect(fetch(receiver.url)).rejects.toThrow("fetch failed");
    expect(receiver.requests).toHaveLength(2);
  });
});

async function start(behaviour?: Behaviour): Promise<Receiver> {
  const receiver = await startReceiver(behaviour);
  onTestFinished(() => receiver.close());
  return receiver;
}
