/** What every kind of destination must do, against a real receiver on the loopback interface. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { DestinationSender, SendResult } from "../../src/destinations/destination.ts";
import type { Destination } from "../../src/domain/configuration.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

/** One kind of destination as the suite sees it. */
export interface DestinationUnderTest {
  sender(): DestinationSender;
  /** A destination of that kind whose requests arrive at the URL. */
  destination(url: string): Destination;
}

/** Runs the contract. */
export function destinationSuite(name: string, subject: DestinationUnderTest): void {
  describe(`${name} as a destination`, () => {
    let receiver: Receiver;
    beforeEach(async () => {
      receiver = await startReceiver();
    });
    afterEach(() => receiver.close());

    const body = Buffer.from('{"data":[{"unique_id":"鍵"}]}');
    const send = (url = receiver.url): Promise<SendResult> =>
      subject.sender().sendBatch(subject.destination(url), { body, idempotencyKey: "7-1" });

    test.each([200, 201, 202, 204, 299])("takes HTTP %i as accepted", async (status) => {
      receiver.behave({ status });
      expect(await send()).toMatchObject({ kind: "accepted", httpStatus: status });
    });

    test.each([300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 408, 409, 410, 413, 422, 451])(
      "takes HTTP %i as refused, and asks nobody else",
      async (status) => {
        receiver.behave({ status, headers: { location: `${receiver.url}/elsewhere` } });
        expect(await send()).toMatchObject({ kind: "refused", httpStatus: status, error: `HTTP ${status}` });
        expect(receiver.requests).toHaveLength(1);
      },
    );

    test.each([429, 500, 501, 502, 503, 504, 599])("takes HTTP %i as worth another try", async (status) => {
      receiver.behave({ status });
      expect(await send()).toMatchObject({
        kind: "retryable",
        httpStatus: status,
        error: `HTTP ${status}`,
        retryAfterMs: null,
        rateLimited: status === 429,
      });
    });

    test("reads how long it is asked to wait", async () => {
      receiver.behave({ status: 429, headers: { "retry-after": "7" } });
      expect(await send()).toMatchObject({ retryAfterMs: 7_000 });
      receiver.behave({ status: 503, headers: { "retry-after": "Mon, 01 Jan 2024 00:00:00 GMT" } });
      expect(await send()).toMatchObject({ retryAfterMs: 0 });
      receiver.behave({ status: 503, headers: { "retry-after": "soon" } });
      expect(await send()).toMatchObject({ retryAfterMs: null });
    });

    test("takes a connection that breaks, and one that nobody accepts, as worth another try", async () => {
      receiver.behave({ reset: true });
      expect(await send()).toMatchObject({ kind: "retryable", httpStatus: null, rateLimited: false });
      expect(await send("http://127.0.0.1:1/")).toMatchObject({
        kind: "retryable",
        httpStatus: null,
        error: "connection refused",
      });
    });

    test("quotes the answer in the status message, and only there", async () => {
      receiver.behave({ status: 422, body: `bad plan\u0000${"x".repeat(10_000)}` });
      const result = await send();
      expect(result).toMatchObject({ kind: "refused", error: "HTTP 422" });
      const message = result.kind === "refused" ? result.statusMessage : "";
      expect(message).toBe(`HTTP 422: bad plan\ufffd${"x".repeat(491)}`);
    });

    test("says when it started and how long it took", async () => {
      const before = Date.now();
      const result = await send();
      expect(result.startedAt.getTime()).toBeGreaterThanOrEqual(before);
      expect(result.startedAt.getTime()).toBeLessThanOrEqual(Date.now());
      expect(result.durationMs).toBeGreaterThan(0);
    });

    test("throws what it was aborted with, since a shutdown is no outcome", async () => {
      receiver.behave({ hang: true });
      const stop = new AbortController();
      const sending = subject.sender().sendBatch(subject.destination(receiver.url), {
        body,
        idempotencyKey: "7-1",
        signal: stop.signal,
      });
      await receiver.waitFor(1);
      stop.abort(new Error("shutting down"));
      await expect(sending).rejects.toThrow("shutting down");
    });

    test("tests a connection that works, one that refuses and one that is not there", async () => {
      const check = (url: string) => subject.sender().testConnection(subject.destination(url));
      expect(await check(receiver.url)).toMatchObject({ ok: true, httpStatus: 200 });
      receiver.behave({ status: 401 });
      expect(await check(receiver.url)).toMatchObject({
        ok: false,
        httpStatus: 401,
        message: expect.stringContaining("401"),
      });
      expect(await check("http://127.0.0.1:1/")).toMatchObject({ ok: false, httpStatus: null });
    });
  });
}
