import { describe, expect, test } from "vitest";
import { hasCredentials, redactUrl } from "../../src/security/redact.ts";

describe("a redacted address", () => {
  test("keeps where it leads and loses user, password, query values and fragment", () => {
    expect(redactUrl("postgres://u:p%40ss@db.example:5432/wh?sslmode=require")).toBe(
      "postgres://db.example:5432/wh?sslmode=***",
    );
    expect(redactUrl("https://hooks.example/in?token=abc&token=d&x=1#frag")).toBe(
      "https://hooks.example/in?token=***&x=***",
    );
    expect(redactUrl("https://hooks.example/in")).toBe("https://hooks.example/in");
  });

  test("says nothing of a text that is no address", () => {
    expect(redactUrl("hunter2 hunter2")).toBe("(unreadable address)");
  });

  test("tells whether there is a user or a password", () => {
    expect(hasCredentials("https://u@h/")).toBe(true);
    expect(hasCredentials("https://:p@h/")).toBe(true);
    expect(hasCredentials("https://h/@")).toBe(false);
    expect(hasCredentials("nonsense")).toBe(false);
  });
});
