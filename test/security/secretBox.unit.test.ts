import { createHash, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { InvalidInput } from "../../src/domain/errors.ts";
import { openSecretBox } from "../../src/security/secretBox.ts";

const newKey = () => randomBytes(32).toString("base64");
const oldKey = newKey();
const key = newKey();

describe("the secret box", () => {
  test("opens what it sealed, empty and non-ASCII text included", () => {
    const box = openSecretBox([key]);
    for (const text of ["", "hunter2", "postgres://u:pä%20ss@h/db ✓", "x".repeat(100_000)]) {
      expect(box.open("source a", box.seal("source a", text))).toBe(text);
    }
  });

  test("never gives the same ciphertext twice and never shows the text", () => {
    const box = openSecretBox([key]);
    const sealed = new Set(Array.from({ length: 20 }, () => box.seal("p", "hunter2")));
    expect(sealed.size).toBe(20);
    for (const text of sealed) expect(text).not.toContain("hunter2");
  });

  test("writes the id of the first key and reads under all of them", () => {
    const before = openSecretBox([oldKey]).seal("p", "kept");
    const rotated = openSecretBox([key, oldKey]);
    const id = createHash("sha256").update(Buffer.from(key, "base64")).digest("hex").slice(0, 8);
    expect(rotated.open("p", before)).toBe("kept");
    expect(rotated.seal("p", "new")).toMatch(new RegExp(`^v1\\.${id}\\.`));
  });

  test("says which key is missing and what to do", () => {
    const sealed = openSecretBox([oldKey]).seal("source warehouse", "hunter2");
    const [, id] = sealed.split(".");
    const open = () => openSecretBox([key]).open("source warehouse", sealed);
    expect(open).toThrow(InvalidInput);
    expect(open).toThrow(`the secret of source warehouse was sealed with key ${id}`);
    expect(open).toThrow("add the old key behind the new one");
  });

  test("does not open in another row, nor after a change of one bit", () => {
    const box = openSecretBox([key]);
    const sealed = box.seal("source a", "hunter2");
    expect(() => box.open("source b", sealed)).toThrow("does not open");
    const bytes = Buffer.from(sealed.split(".")[2]!, "base64url");
    for (let at = 0; at < bytes.length; at += 1) {
      const altered = Buffer.from(bytes);
      altered[at] = bytes[at]! ^ 1;
      const text = [...sealed.split(".").slice(0, 2), altered.toString("base64url")].join(".");
      expect(() => box.open("source a", text)).toThrow("does not open");
    }
  });

  test("refuses text that it never wrote", () => {
    const box = openSecretBox([key]);
    for (const text of ["", "hunter2", "v0.aaaaaaaa.AAAA", "v1.aaaaaaaa.", `${box.seal("p", "x")}.more`]) {
      expect(() => box.open("p", text)).toThrow("not in a form");
    }
  });

  test("refuses to start without a key or with a damaged one, without repeating it", () => {
    expect(() => openSecretBox([])).toThrow("EGRET_SECRET_KEY is not set");
    const bad = ["short", `${key}AAAA`, key.replace(/^./, "!"), randomBytes(16).toString("base64")];
    for (const text of bad) {
      expect(() => openSecretBox([key, text])).toThrow("key 2 of EGRET_SECRET_KEY is not 32 bytes");
      expect(() => openSecretBox([text])).not.toThrow(text);
    }
  });
});
