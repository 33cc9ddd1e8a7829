import { Webhook as StandardWebhook } from "standardwebhooks";
import { describe, expect, onTestFinished, test } from "vitest";
import { type AnsweredRequest, startDevelopmentReceiver } from "../../src/cli/receiver.ts";
import { newWebhookSecret, signBody } from "../../src/security/signature.ts";

const secret = newWebhookSecret();
const body = '{"event":"sync.started"}';

describe("the development receiver", () => {
  test("tells valid, invalid and absent signatures of both schemes apart", async () => {
    const { url, requests } = await listening(() => secret);
    const at = new Date();
    const standard = {
      "webhook-id": "msg_1",
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new StandardWebhook(secret).sign("msg_1", at, body),
    };
    const good = { "x-signature": signBody(secret, Buffer.from(body)), ...standard };
    await fetch(url, { method: "POST", body, headers: good });
    await fetch(url, { method: "POST", body: `${body} `, headers: good });
    await fetch(url, { method: "POST", body });
    expect(requests.map(({ signature, standardSignature }) => [signature, standardSignature])).toEqual([
      ["valid", "valid"],
      ["invalid", "invalid"],
      ["absent", "absent"],
    ]);
  });

  test("answers as it is told, and checks nothing without a secret", async () => {
    const { url, requests } = await listening(() => null, 503);
    const answer = await fetch(url, { method: "POST", body, headers: { "x-signature": "x" } });
    expect(answer.status).toBe(503);
    expect(requests[0]).toMatchObject({ signature: "unchecked", status: 503, method: "POST", path: "/" });
  });
});

async function listening(
  askSecret: () => string | null,
  status = 200,
): Promise<{ url: string; requests: AnsweredRequest[] }> {
  const requests: AnsweredRequest[] = [];
  const receiver = await startDevelopmentReceiver({
    port: 0,
    secret: askSecret,
    answer: () => status,
    onRequest: (request) => requests.push(request),
  });
  onTestFinished(receiver.close);
  return { url: receiver.url, requests };
}
