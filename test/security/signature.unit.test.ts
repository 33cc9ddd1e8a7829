import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { InvalidInput } from "../../src/domain/errors.ts";
import { newWebhookSecret, signBody, signStandardWebhook } from "../../src/security/signature.ts";

/** A receiver as the public page describes one: the raw bytes of the request, the secret's bytes, a constant-time compare. */
const PYTHON_RECEIVER = `
import base64, hashlib, hmac, json, sys

class Request:
    def __init__(self, body, headers):
        self.body = body
        self.headers = headers

def is_ours(secret, request):
    mac = hmac.new(secret, request.body, hashlib.sha256).digest()
    return hmac.compare_digest(base64.b64encode(mac).decode("ascii"), request.headers.get("X-Signature"))

case = json.load(sys.stdin)
request = Request(base64.b64decode(case["body"]), {"X-Signature": case["signature"]})
print("accepted" if is_ours(case["secret"].encode("utf-8"), request) else "refused")
`;

/** A fresh machine need not have Python; where it has, the tests in it run. */
const hasPython = spawnSync("python3", ["--version"]).error === undefined;
function pythonSays(secret: string, body: Uint8Array, signature: string): string {
  const input = JSON.stringify({ secret, body: Buffer.from(body).toString("base64"), signature });
  const { stdout, stderr, status } = spawnSync("python3", ["-c", PYTHON_RECEIVER], {
    input,
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return stdout.trim();
}

const body = Buffer.from(
  '{"workspace_id":12,"sync_id":88,"sync_run_id":7011,"event":"sync.started","note":"žluť ✓"}',
);

describe("X-Signature", () => {
  test("gives the known answer", () => {
    expect(signBody("s3cret", Buffer.from('{"a":1}'))).toBe("WRDmIBbvUDQnLJJsJwcZkqRlwjNc7PQYUb2gcVd/T20=");
  });

  test("is 44 characters of padded base64 for any body", () => {
    for (const length of [0, 1, 63, 64, 65, 5000]) {
      expect(signBody(newWebhookSecret(), randomBytes(length))).toMatch(/^[A-Za-z0-9+/]{43}=$/);
    }
  });

  test.skipIf(!hasPython)("satisfies a receiver in Python that hashes the raw bytes", () => {
    const secret = newWebhookSecret();
    expect(pythonSays(secret, body, signBody(secret, body))).toBe("accepted");
  });

  test.skipIf(!hasPython)("keys by UTF-8 when the secret is not ASCII", () => {
    expect(pythonSays("tajemství ✓", body, signBody("tajemství ✓", body))).toBe("accepted");
  });

  test.skipIf(!hasPython)("fails in Python when the body or the secret is another", () => {
    const secret = newWebhookSecret();
    const tampered = Buffer.from(body.toString().replace("7011", "7012"));
    expect(pythonSays(secret, tampered, signBody(secret, body))).toBe("refused");
    expect(pythonSays(newWebhookSecret(), body, signBody(secret, body))).toBe("refused");
  });
});

describe("webhook-signature", () => {
  const secret = newWebhookSecret();
  const timestampSeconds = Math.floor(Date.now() / 1000);
  const signature = signStandardWebhook({ secret, id: "msg_1", timestampSeconds, body });
  const headers = {
    "webhook-id": "msg_1",
    "webhook-timestamp": String(timestampSeconds),
    "webhook-signature": signature,
  };

  test("satisfies the standardwebhooks library", () => {
    expect(new Webhook(secret).verify(body.toString(), headers)).toEqual(JSON.parse(body.toString()));
  });

  test("fails in that library when body, secret, id or time is another", () => {
    const text = body.toString();
    expect(() => new Webhook(secret).verify(`${text} `, headers)).toThrow("No matching signature");
    expect(() => new Webhook(newWebhookSecret()).verify(text, headers)).toThrow("No matching signature");
    expect(() => new Webhook(secret).verify(text, { ...headers, "webhook-id": "msg_2" })).toThrow(
      "No matching",
    );
    const later = { ...headers, "webhook-timestamp": String(timestampSeconds + 1) };
    expect(() => new Webhook(secret).verify(text, later)).toThrow("No matching");
  });

  test("refuses a secret without the prefix, and does not repeat it", () => {
    const plain = "hunter2";
    const sign = () => signStandardWebhook({ secret: plain, id: "a", timestampSeconds: 1, body });
    expect(sign).toThrow(InvalidInput);
    expect(sign).not.toThrow(plain);
  });
});

describe("a new webhook secret", () => {
  test("is whsec_ and 32 bytes of base64, never the same twice", () => {
    const made = Array.from({ length: 50 }, newWebhookSecret);
    for (const secret of made) {
      expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
      expect(Buffer.from(secret.slice(6), "base64")).toHaveLength(32);
    }
    expect(new Set(made).size).toBe(50);
  });
});
