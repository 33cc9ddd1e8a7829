import { createServer } from "node:net";
import type { Agent } from "undici";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AttemptOutcome } from "../../src/runtime/deliveries/attempt.ts";
import { type PendingData, sha256Hex } from "../../src/runtime/deliveries/deliveryActor.ts";
import { webhookTarget } from "../../src/runtime/deliveries/webhookTarget.ts";
import { createGuardedAgent } from "../../src/security/outboundGuard.ts";
import { outboundPolicy } from "../../src/security/outboundPolicy.ts";
import { newWebhookSecret } from "../../src/security/signature.ts";
import { makeAuthority, makeCertificate } from "../support/certificates.ts";
import {
  type Answer,
  alternate,
  answers,
  answerText,
  byPath,
  inOrder,
  pick,
  type Rule,
} from "../support/farmAnswers.ts";
import { type FarmOptions, type ReceiverFarm, startReceiverFarm } from "../support/receiverFarm.ts";
import { chanceOf } from "../support/seeded.ts";

/** For answers that never come: they are waited for to the end. */
const SHORT_MS = 300;
/** For answers that come: long enough for a machine that stalls. */
const PATIENT_MS = 10_000;
/** What an attempt may take beyond its timeout on such a machine. */
const STALL_MS = 3_000;
const HOST = "hooks.example";
const authority = makeAuthority("Authority of the farm");
const secret = newWebhookSecret();

let farm: ReceiverFarm;
let agent: Agent;
beforeEach(() => open());
afterEach(async () => {
  // A request that still has a hold on its socket would keep this from ending, and the test with it.
  await agent.close();
  await expect.poll(() => farm.connections().open).toBe(0);
  await farm.close();
});

/** Replaces the farm and the pool of this test. */
async function open(
  options: FarmOptions & { connections?: number; connectTimeoutMs?: number } = {},
): Promise<void> {
  await agent?.destroy();
  await farm?.close();
  farm = await startReceiverFarm(options);
  agent = createGuardedAgent({
    policy: outboundPolicy({ allow: ["127.0.0.1"] }),
    // A single one: whatever a bad answer leaves behind is what the next request meets.
    connections: options.connections ?? 1,
    connectTimeoutMs: options.connectTimeoutMs ?? PATIENT_MS,
    ca: authority.cert,
    lookup: async () => [{ address: "127.0.0.1", family: 4 }],
  });
}

const PAYLOAD = '{"workspace_id":1,"sync_id":2,"sync_run_id":7,"event":"sync.started"}';

function pending(timeoutMs: number, deliveryId = "7-2-1"): PendingData {
  return {
    workspace_id: 1,
    target_kind: "webhook",
    target_id: 1,
    delivery_id: deliveryId,
    sync_id: 2,
    sync_run_id: 7,
    fact: "created",
    event: "sync.started",
    event_id: "018f0000-0000-7000-8000-00000000000a",
    retry_delays_ms: [],
    timeout_ms: timeoutMs,
    records: 0,
    payload: PAYLOAD,
    payload_sha256: sha256Hex(PAYLOAD),
  };
}

/** One attempt by the real target, at a path of the farm; an address of its own if one is given. */
async function attempt(
  path: string,
  { timeoutMs = PATIENT_MS, deliveryId = "7-2-1", url = farm.url } = {},
): Promise<AttemptOutcome> {
  const target = webhookTarget({
    readWebhook: async (id) => ({
      id,
      workspaceId: 1,
      name: "farm",
      endpoint: url + path,
      events: [],
      enabled: true,
      createdAt: new Date(0),
      secret,
    }),
    dispatcher: agent,
    userAgent: "test",
  });
  return target.attempt(pending(timeoutMs, deliveryId), 1);
}

const accepted = (httpStatus: number) => ({ kind: "accepted", httpStatus });
const failed = (error: string, httpStatus: number | null = null) => ({ kind: "failed", httpStatus, error });

/** The outcome, the bound on its time, and the next request to the same origin. */
async function expectOutcome(rule: Rule, expected: object, timeoutMs = PATIENT_MS): Promise<void> {
  farm.answerWith(byPath({ "/bad": rule, "/good": answers.status(204) }));
  const began = performance.now();
  const outcome = await attempt("/bad", { timeoutMs });
  const tookMs = performance.now() - began;
  expect(outcome).toMatchObject(expected);
  expect(tookMs).toBeLessThan(timeoutMs + STALL_MS);
  expect(await attempt("/good")).toMatchObject(accepted(204));
}

/** Waits that end at the deadline take the deadline's time, and not more. */
async function expectTimeout(rule: Rule): Promise<void> {
  await expectOutcome(rule, failed("no answer within 0.3 s"), SHORT_MS);
}

const reset = failed("connection reset");
const closed = failed("connection closed before an answer");
const notHttp = failed("the answer was not HTTP");

describe("an attempt whose receiver never gives a status", () => {
  test.each([
    ["says nothing", answers.hang],
    ["stops in the status line", answers.hangInStatusLine],
    ["stops in the headers", answers.hangInHeaders],
    ["drips a good answer too slowly", answers.drip(40)],
    ["answers 200 just after the deadline", answers.late(SHORT_MS + 50, answers.ok)],
    ["sends one informational answer after the other", answers.informedForEver(1)],
  ])("fails at its timeout: the receiver %s", async (_what, answer) => {
    await expectTimeout(answer);
  });

  test("does not take a late answer for that of the next request, which waits for the connection", async () => {
    const lateness = answers.late(SHORT_MS + 100, answers.ok);
    farm.answerWith(byPath({ "/bad": lateness, "/good": answers.late(200, answers.status(204)) }));
    const both = await Promise.all([attempt("/bad", { timeoutMs: SHORT_MS }), attempt("/good")]);
    expect(both).toMatchObject([failed("no answer within 0.3 s"), accepted(204)]);
  });
});

describe("an attempt whose connection breaks", () => {
  test.each<[string, Answer, object]>([
    ["resets before an answer", answers.reset, reset],
    ["resets in the headers", answers.resetInHeaders, reset],
    ["closes before an answer", answers.close, closed],
    ["closes in the headers", answers.closeInHeaders, closed],
    ["does not speak HTTP", answers.notHttp, notHttp],
    [
      "sends headers without end",
      answers.hugeHeaders,
      { kind: "failed", httpStatus: null, error: expect.stringMatching(/headers/i) },
    ],
  ])("fails and says how: the receiver %s", async (_what, answer, expected) => {
    await expectOutcome(answer, expected);
  });
});

describe("an attempt whose status came", () => {
  const slow = 1_500;
  test.each<[string, Answer, object]>([
    ["has a body that never ends", answers.hangInBody(201), accepted(201)],
    ["has a body that drips", answers.dripBody(20, "x".repeat(10_000)), accepted(200)],
    ["is an error with a body that never ends", answers.hangInBody(500), failed("HTTP 500", 500)],
  ])("keeps it, and reads no longer than the timeout: the answer %s", async (_what, answer, expected) => {
    await expectOutcome(answer, expected, slow);
  });

  test.each<[string, Answer, object]>([
    ["is dripped quickly enough", answers.drip(2), accepted(200)],
    ["breaks off in the body by a reset", answers.resetInBody(), accepted(200)],
    ["closes in the body: its length was too long", answers.closeInBody(202), accepted(202)],
    ["is an error whose body breaks off", answers.closeInBody(503), failed("HTTP 503", 503)],
    ["has more body than it says", answers.lengthTooShort(" and more"), accepted(200)],
    ["has garbage for a body", answers.garbage(), accepted(200)],
    ["closes the connection in good order", answers.okAndClose, accepted(200)],
    ["comes after a 102 and a 103", answers.informed([102, 103, 103], answers.ok), accepted(200)],
    ["is a failure after a 103", answers.informed([103], answers.status(500)), failed("HTTP 500", 500)],
    ["is unheard of", answers.status(299), accepted(299)],
    ["is a client's fault", answers.status(410), failed("HTTP 410", 410)],
    ["asks to wait", answers.status(429, { headers: { "retry-after": "1" } }), failed("HTTP 429", 429)],
  ])("keeps it: the answer %s", async (_what, answer, expected) => {
    await expectOutcome(answer, expected);
  });

  test("is not taken from an answer that another one brought along, not even for a request that waits", async () => {
    const smuggling = answers.lengthTooShort(answerText(200), 503);
    farm.answerWith(byPath({ "/bad": smuggling, "/good": answers.status(204) }));
    const both = await Promise.all([attempt("/bad"), attempt("/good")]);
    expect(both).toMatchObject([failed("HTTP 503", 503), accepted(204)]);
    expect(farm.requests.map(({ path }) => path)).toEqual(["/bad", "/good"]);
  });

  // RFC 9110 15.2 wants an unasked-for 100 passed over; undici ends the connection. Either way it is an attempt like any other.
  test.each([100, 101])("is none when a %i came first that nobody asked for", async (code) => {
    const outcome = { kind: "failed", httpStatus: null };
    await expectOutcome(answers.informed([code], answers.ok), outcome);
  });

  test("counts when it came before the request was read", async () => {
    farm.answerWith(answers.status(204));
    farm.greetWith(answers.status(200));
    expect(await attempt("/")).toMatchObject(accepted(200));
    farm.greetWith(null);
    expect(await attempt("/")).toMatchObject(accepted(204));
  });
});

describe("a redirect", () => {
  test("in a loop is a failure, and is not followed", async () => {
    for (const code of [301, 302, 303, 307, 308]) {
      await expectOutcome(answers.redirect("/bad", code), failed(`HTTP ${code}`, code));
    }
    expect(farm.requests.filter(({ path }) => path === "/bad")).toHaveLength(5);
  });
});

describe("a TLS receiver", () => {
  const tls = makeCertificate({ names: [HOST], by: authority });
  const secureUrl = () => `https://${HOST}:${farm.port}`;

  test("answers as well as one without, and breaks off as badly", async () => {
    await open({ tls });
    const at = (path: string, timeoutMs = PATIENT_MS) => attempt(path, { url: secureUrl(), timeoutMs });
    farm.answerWith(
      byPath({ "/good": answers.status(204), "/reset": answers.reset, "/hang": answers.hangInHeaders }),
    );
    expect(await at("/good")).toMatchObject(accepted(204));
    expect(await at("/reset")).toMatchObject(reset);
    expect(await at("/good")).toMatchObject(accepted(204));
    expect(await at("/hang", SHORT_MS)).toMatchObject(failed("no answer within 0.3 s"));
    expect(await at("/good")).toMatchObject(accepted(204));
  });

  test("that never answers the handshake fails at the timeout", async () => {
    // The pool goes on connecting after the request has given up, and closes no sooner.
    await open({ connectTimeoutMs: 2 * SHORT_MS });
    farm.answerWith(answers.hang);
    expect(await attempt("/", { url: secureUrl(), timeoutMs: SHORT_MS })).toMatchObject(
      failed("no answer within 0.3 s"),
    );
  });

  test("that is none is named", async () => {
    farm.greetWith(answers.status(400));
    const error = "the port does not speak TLS; the address may need http://";
    expect(await attempt("/", { url: secureUrl() })).toMatchObject(failed(error));
  });
});

describe("a receiver that is not there", () => {
  test("refuses the connection", async () => {
    const closing = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => closing.once("listening", resolve));
    const { port } = closing.address() as { port: number };
    await new Promise((resolve) => closing.close(resolve));
    const outcome = await attempt("/", { url: `http://127.0.0.1:${port}` });
    expect(outcome).toMatchObject(failed("connection refused"));
  });
});

describe("one receiver over many attempts", () => {
  const series = async (rule: Rule, count: number) => {
    farm.answerWith(rule);
    const outcomes: AttemptOutcome[] = [];
    for (let n = 0; n < count; n += 1) outcomes.push(await attempt("/"));
    return outcomes.map((outcome) =>
      outcome.kind === "dropped" ? null : (outcome.httpStatus ?? outcome.kind),
    );
  };

  test("fails, then recovers", async () => {
    const [bad, ok] = [answers.status(500), answers.ok];
    expect(await series(inOrder(bad, answers.reset, ok), 5)).toEqual([500, "failed", 200, 200, 200]);
  });

  test("alternates", async () => {
    const [bad, ok] = [answers.status(503), answers.ok];
    expect(await series(alternate(bad, ok), 6)).toEqual([503, 200, 503, 200, 503, 200]);
    // Answers that are whole cost no connection.
    expect(farm.connections().ever).toBe(1);
  });

  test("misbehaves at random while eight go at once: each attempt has the outcome of its own answer", async () => {
    const MANY = 300;
    await open({ connections: 8 });
    const shares: [number, [Answer, object]][] = [
      [0.1, [answers.status(500), failed("HTTP 500", 500)]],
      [0.1, [answers.reset, reset]],
      [0.1, [answers.close, closed]],
      [0.1, [answers.notHttp, notHttp]],
      [0.1, [answers.closeInBody(201), accepted(201)]],
      [0.1, [answers.lengthTooShort(answerText(200), 502), failed("HTTP 502", 502)]],
      [0.05, [answers.okAndClose, accepted(200)]],
    ];
    const fate = (deliveryId: string): [Answer, object] =>
      pick(chanceOf(`seed 3, ${deliveryId}`)[0], shares) ?? [answers.status(204), accepted(204)];
    farm.answerWith(({ headers }) => fate(headers["x-delivery-id"] ?? "")[0]);

    const ids = Array.from({ length: MANY }, (_, n) => `${n}-2-1`);
    const outcomes = await Promise.all(ids.map((deliveryId) => attempt("/", { deliveryId })));

    expect(outcomes).toMatchObject(ids.map((id) => fate(id)[1]));
    // One request each: the pool repeats nothing by itself.
    expect(farm.requests).toHaveLength(MANY);
    expect(new Set(farm.requests.map(({ headers }) => headers["x-delivery-id"]))).toEqual(new Set(ids));
    expect(new Set(farm.requests.map(({ bodySha256 }) => bodySha256))).toEqual(new Set([sha256Hex(PAYLOAD)]));
    expect(farm.connections().open).toBeLessThanOrEqual(8);
  });

  test("costs a pool no sockets, however often it hangs", async () => {
    await open({ connections: 8 });
    farm.answerWith(answers.hang);
    const hangs = Array.from({ length: 40 }, () => attempt("/", { timeoutMs: SHORT_MS }));
    for (const outcome of await Promise.all(hangs)) expect(outcome.kind).toBe("failed");
    await expect.poll(() => farm.connections().open).toBe(0);
    farm.answerWith(answers.ok);
    expect(await attempt("/")).toMatchObject(accepted(200));
  });
});
