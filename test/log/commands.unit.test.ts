import { describe, expect, test } from "vitest";
import { parseCommand } from "../../src/log/commands.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const SUBJECT = "egret.commands.1.sync.trigger";

describe("parseCommand", () => {
  test("takes the name or the id of a sync, and fills in the rest", () => {
    expect(parseCommand(SUBJECT, bytes('{"sync":"airports"}'))).toEqual({
      workspaceId: 1,
      verb: "trigger",
      payload: { sync: "airports", force_full_sync: false, requested_via: "JetStream" },
    });
    expect(parseCommand(SUBJECT, bytes('{"sync":7,"force_full_sync":true}')).payload).toMatchObject({
      sync: 7,
    });
  });

  test.each([
    ["not JSON", SUBJECT, "{nope", "the command is not JSON in UTF-8"],
    ["not UTF-8", SUBJECT, null, "the command is not JSON in UTF-8"],
    ["no sync", SUBJECT, "{}", "sync: "],
    ["a field that nobody knows", SUBJECT, '{"sync":1,"fullsync":true}', "fullsync"],
    ["a wrong type", SUBJECT, '{"sync":1,"force_full_sync":"yes"}', "force_full_sync: "],
    [
      "an unknown verb",
      "egret.commands.1.sync.explode",
      "{}",
      "known are sync.{trigger, cancel, dry_run, test",
    ],
    ["no workspace id", "egret.commands.demo.sync.trigger", "{}", "names no workspace id"],
  ])("I12: refuses %s and says what and where", (_what, subject, text, message) => {
    const payload = text === null ? new Uint8Array([0x22, 0xff, 0x22]) : bytes(text);
    expect(() => parseCommand(subject, payload)).toThrow(message);
  });
});
