import { describe, expect, test } from "vitest";
import {
  hideSecretHeaders,
  readableText,
  showResponseHeaders,
  withoutSecrets,
} from "../../src/destinations/exchange.ts";

describe("request headers as they are shown", () => {
  test("keep their names and lose the values that are secret, in whatever case they were written", () => {
    const { headers } = hideSecretHeaders(
      {
        "Content-Type": "application/json",
        Authorization: "Bearer abcdefgh",
        "X-Signature": "sig",
        "webhook-signature": "v1,sig",
        Cookie: "a=b",
        "X-Api-Key": "key",
        "x-event-id": "e1",
      },
      ["x-api-key"],
    );
    expect(headers).toEqual({
      "content-type": "application/json",
      authorization: "***",
      "x-signature": "***",
      "webhook-signature": "***",
      cookie: "***",
      "x-api-key": "***",
      "x-event-id": "e1",
    });
  });
});

describe("an answer as it is shown", () => {
  const { secrets } = hideSecretHeaders({ authorization: "Bearer hunter2-hunter2", "x-key": "short" }, [
    "x-key",
  ]);

  test("does not quote our secrets back, with or without their scheme", () => {
    expect(withoutSecrets("got Bearer hunter2-hunter2 or hunter2-hunter2", secrets)).toBe("got *** or ***");
    expect(
      showResponseHeaders({ "x-echo": "hunter2-hunter2", "x-list": ["a", "hunter2-hunter2"] }, secrets),
    ).toEqual({
      "x-echo": "***",
      "x-list": ["a", "***"],
    });
  });

  test("keeps words that only happen to be somebody's very short secret", () => {
    expect(withoutSecrets("a short answer", secrets)).toBe("a short answer");
  });

  test("keeps the receiver's cookies to itself", () => {
    expect(showResponseHeaders({ "set-cookie": ["sid=1"], date: "now" }, [])).toEqual({
      "set-cookie": "***",
      date: "now",
    });
  });

  test("is text that Postgres takes, whatever bytes came", () => {
    expect(readableText(Buffer.from([0x61, 0x00, 0xff, 0xc3, 0x28]))).toBe("a\ufffd\ufffd\ufffd(");
  });
});
