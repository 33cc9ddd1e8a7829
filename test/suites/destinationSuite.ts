/** What every kind of destination must do, against a real receiver on the loopback interface. */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { DestinationSender, SendResult } from "../../src/destinations/destination.ts";
import type { Destination } from "../../src/domain/configuration.ts";
import { type RowResults, rowResultsSchema } from "../../src/domain/httpRequestDestination.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

/** A server below HTTP, for answers that no HTTP server gives. */
async function startRawServer(
  onConnection: (socket: Socket) => void,
): Promise<{ url: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** One kind of destination as the suite sees it. */
export interface DestinationUnderTest<D extends Destination> {
  sender(): DestinationSender<D>;
  /**
   * A destination of that kind whose requests arrive at the URL, with `secret` in every place that this kind has for
   * one, and a second to answer.
   */
  destination(url: string, parts?: { secret?: string; rowResults?: RowResults }): D;
}

/** Runs the contract. */
export function destinationSuite<D extends Destination>(
  name: string,
  subject: DestinationUnderTest<D>,
): void {
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

    test("gives up on an answer that never comes", async () => {
      receiver.behave({ hang: true });
      expect(await send()).toMatchObject({
        kind: "retryable",
        httpStatus: null,
        error: "no answer within 1 s",
        rateLimited: false,
      });
    });

    test("takes an answer by its status when its body never ends, and reads only the beginning", async () => {
      receiver.behave({ status: 422, body: "no".repeat(2_000_000) });
      const result = await send();
      expect(result).toMatchObject({ kind: "refused", httpStatus: 422 });
      expect(result.exchange.responseBody?.length).toBe(4_096);
      receiver.behave({ status: 200, body: "x".repeat(4_000_000) });
      expect(await send()).toMatchObject({ kind: "accepted" });
    });

    test("takes a connection that is accepted and reset before anything was read as worth another try", async () => {
      const server = await startRawServer((socket) => socket.resetAndDestroy());
      expect(await send(server.url)).toMatchObject({ kind: "retryable", httpStatus: null });
      await server.close();
    });

    test("takes an answer whose body breaks off by its status, and no row for taken where it speaks of each", async () => {
      const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"record_results":[]}';
      const server = await startRawServer((socket) =>
        socket.once("data", () => socket.write(answer, () => socket.destroy())),
      );
      expect(await send(server.url)).toMatchObject({ kind: "accepted", httpStatus: 200 });
      const target = subject.destination(server.url, { rowResults: rowResultsSchema.parse({}) });
      const byRow = subject.sender().sendBatch(target, { body, keys: ["a"], idempotencyKey: "7-1" });
      expect(await byRow).toMatchObject({
        kind: "accepted",
        rowErrors: ["the answer broke off or is longer than 1048576 bytes"],
      });
      await server.close();
    });

    test("sends the same bytes and the same Idempotency-Key again after a connection that broke", async () => {
      receiver.behave((_request, attempt) => (attempt === 1 ? { reset: true } : {}));
      expect(await send()).toMatchObject({ kind: "retryable", httpStatus: null });
      expect(await send()).toMatchObject({ kind: "accepted" });
      const [first, second] = receiver.requests;
      expect(first?.body).toEqual(body);
      expect(second?.body).toEqual(body);
      expect([first, second].map((request) => request?.headers["idempotency-key"])).toEqual(["7-1", "7-1"]);
    });

    test("never shows a secret, though the answer repeats all that was sent", async () => {
      const secret = "hunter2-correct-horse";
      receiver.behave((request) => ({
        status: 422,
        headers: { "x-echo": `${request.path} ${JSON.stringify(request.headers)}`.slice(0, 2_000) },
        body: `${request.path}\n${JSON.stringify(request.headers)}`,
      }));
      const target = subject.destination(receiver.url, { secret });
      const results = [
        await subject.sender().sendBatch(target, { body, idempotencyKey: "7-1" }),
        await subject.sender().testConnection(target),
        await subject
          .sender()
          .sendBatch(subject.destination("http://127.0.0.1:1/", { secret }), { body, idempotencyKey: "7-1" }),
      ];
      const sent = JSON.stringify(receiver.requests.map(({ path, headers }) => [path, headers]));
      expect(sent).toContain(secret);
      expect(JSON.stringify(results)).not.toContain(secret);
      expect(JSON.stringify(results)).not.toContain(Buffer.from(secret).toString("base64"));
    });

    test("takes a row for taken only where the answer calls it so, when it reads answers row by row", async () => {
      const rowResults = rowResultsSchema.parse({});
      const byRow = (status: number, answer: string) => {
        receiver.behave({ status, body: answer });
        return subject.sender().sendBatch(subject.destination(receiver.url, { rowResults }), {
          body,
          keys: ["a", "b", "c"],
          idempotencyKey: "7-1",
        });
      };
      const results = [
        { identifier: "a", success: true },
        { identifier: "b", success: false, error_message: "row full" },
      ];
      expect(await byRow(207, JSON.stringify({ record_results: results }))).toMatchObject({
        kind: "accepted",
        httpStatus: 207,
        rowErrors: [null, "row full", "the answer does not name this row"],
      });
      const none = (words: string) => ({ kind: "accepted", rowErrors: Array<string>(3).fill(words) });
      expect(await byRow(200, "fine")).toMatchObject(
        none("the answer is not JSON, where it should speak of each row"),
      );
      const long = JSON.stringify({ record_results: results, padding: "x".repeat(1_048_576) });
      expect(await byRow(200, long)).toMatchObject(
        none("the answer broke off or is longer than 1048576 bytes"),
      );
      const longest = JSON.stringify({ record_results: results, padding: "x".repeat(1_000_000) });
      expect(await byRow(200, longest)).toMatchObject({ rowErrors: [null, "row full", expect.anything()] });
      expect(await byRow(422, JSON.stringify({ record_results: results }))).toMatchObject({
        kind: "refused",
      });
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
