import { describe, expect, test } from "vitest";
import { syncInFilter, tailFilter } from "../../src/cli/tailFilter.ts";
import { deliveryHistory, runHistory } from "../support/events.ts";

describe("a filter of egret tail", () => {
  test.each([
    [
      [],
      [
        "*.run.*.*.*",
        "*.trial.*.*.*",
        "*.alert.*.*.*",
        "*.config.*.*.*",
        "*.command.*.*",
        "*.endpoint.*.*.*",
        "*.replay.*.*",
      ],
      ["*.delivery.*.*.*.*"],
    ],
    [
      ["failed"],
      ["*.run.*.*.failed", "*.trial.*.*.failed", "*.command.*.refused", "*.replay.*.failed"],
      ["*.delivery.*.*.*.dead"],
    ],
    [["replay"], ["*.replay.*.*"], null],
    [["webhook"], null, ["*.delivery.webhook.*.*.*"]],
    [["webhook", "retrying"], null, ["*.delivery.webhook.*.*.retrying"]],
    [["run:7011"], ["*.run.*.7011.*", "*.trial.*.7011.*", "*.alert.*.*.*"], ["*.delivery.*.*.*.*"]],
    [["sync:88", "success"], ["*.run.88.*.success"], null],
    [["12.run.>"], ["12.run.>"], null],
    [
      ["*.*.88.>"],
      ["run", "trial", "alert", "config", "command", "endpoint", "replay"].map((kind) => `*.${kind}.88.>`),
      ["*.delivery.88.>"],
    ],
    [["egret.events.12.delivery.webhook.3.>"], null, ["12.delivery.webhook.3.>"]],
  ])("%j follows the subjects it names", (words, runs, deliveries) => {
    expect(tailFilter(words, syncInFilter(words) === null ? null : 88).subjects).toEqual({
      runs,
      deliveries,
    });
  });

  test("tells a delivery's run by what it says, since its subject does not", () => {
    const { matches } = tailFilter(["run:7011"], null);
    expect(deliveryHistory({ deliveryId: "7011-1", runId: 7011 }).every(matches)).toBe(true);
    expect(deliveryHistory({ deliveryId: "7012-1", runId: 7012 }).some(matches)).toBe(false);
    expect(runHistory({ runId: 7011 }).every(matches)).toBe(true);
  });

  test.each([
    [["faild"], 'Did you mean "failed"?'],
    [["12.runs.>"], '"runs" in "12.runs.>" is no kind'],
    [["12.run.>", "failed"], "give one subject, or several words, not both"],
    [["run:x"], "a run id is a whole number"],
    [["a..b"], "is no subject"],
  ])("%j is refused", (words, message) => {
    expect(() => tailFilter(words, null)).toThrow(message);
  });
});
