import { describe, expect, test } from "vitest";
import {
  type AlertSetting,
  type AlertType,
  DEFAULT_ALERTS,
  type EndedRun,
  factFor,
  judge,
  type Moment,
  overdueAtMs,
  type Verdict,
} from "../../src/domain/alert.ts";
import { ALERT_TYPES } from "../../src/domain/alertTypes.ts";
import { alertPayload } from "../../src/domain/lifecycle.ts";
import { syncOptionsSchema } from "../../src/domain/syncOptions.ts";

const MINUTE = 60_000;
const START = Date.UTC(2026, 0, 5, 9);

/** A setting as egret.yaml may have it. */
function setting(type: AlertType, options?: object): AlertSetting {
  const [parsed] = syncOptionsSchema.parse({ alerts: [{ type, ...(options && { options }) }] }).alerts ?? [];
  if (parsed === undefined) throw new Error("no setting");
  return parsed;
}

const COUNTERS: EndedRun["counters"] = {
  source_record_count: 100,
  source_record_updates: 20,
  source_record_deletes: 3,
  source_record_invalids: 0,
  records_processed: 20,
  records_updated: 20,
  records_failed: 0,
};

function ended(changes: Partial<EndedRun> = {}, valuesBefore: number[] = []): Moment {
  const run: EndedRun = {
    runId: 7011,
    status: "ok",
    canceled: false,
    errorMessage: null,
    counters: COUNTERS,
    scheduledMs: START,
    actualMs: START + 1_000,
    endedMs: START + 61_000,
    ...changes,
  };
  return { kind: "ended", run, valuesBefore };
}
const failed = (changes: Partial<EndedRun> = {}) =>
  ended({ status: "emergency", errorMessage: "it broke", ...changes });
const counted = (counters: Partial<EndedRun["counters"]>) =>
  ended({ counters: { ...COUNTERS, ...counters } });
const shares = (processed: number, rejected: number, invalid: number) =>
  counted({ records_processed: processed, records_failed: rejected, source_record_invalids: invalid });

const failure = setting("FailureAlertConfiguration");
const records = (threshold?: number) =>
  setting("InvalidRecordPercentAlertConfiguration", threshold === undefined ? undefined : { threshold });
const onStart = setting("StatusAlertConfiguration", { status_name: "started" });
const onEnd = setting("StatusAlertConfiguration", { status_name: "completed" });
const fullSync = setting("FullSyncTriggerAlertConfiguration");
const runtime = (options: object) => setting("RuntimeAlertConfiguration", options);
const deviation = (options: object) => setting("RecordCountDeviationAlertConfiguration", options);
const rows = (threshold: number, record_type = "source_record_count") =>
  deviation({ threshold, record_type, lookback_runs: 2 });
const STARTED: Moment = { kind: "started", runId: 7011 };
const checked = (isFull: boolean, reasons: string[] = []): Moment => ({
  kind: "checked",
  fullSync: isFull,
  reasons,
});

type Kind = NonNullable<Verdict>["kind"] | "nothing";

const RULES: [rule: string, setting: AlertSetting, moment: Moment, kind: Kind][] = [
  ["a failed run", failure, failed(), "violated"],
  ["a failed run that never started", failure, failed({ actualMs: null }), "violated"],
  ["a completed run", failure, ended(), "kept"],
  ["a cancelled run", failure, failed({ canceled: true }), "nothing"],
  ["the start of a run", failure, STARTED, "nothing"],

  ["76 of 100 above 75", records(), shares(100, 76, 0), "violated"],
  ["75 of 100 is not above 75", records(), shares(100, 75, 0), "kept"],
  ["invalid rows count, and widen the denominator", records(), shares(24, 0, 76), "violated"],
  ["rejected and invalid rows together", records(50), shares(60, 11, 40), "violated"],
  ["80 updated + 15 failed + 5 invalid are 20 of 100", records(20), shares(95, 15, 5), "kept"],
  ["none of none", records(0), shares(0, 0, 0), "kept"],
  ["0: one failed record of a million", records(0), shares(1_000_000, 1, 0), "violated"],
  ["0: no failed record", records(0), shares(10, 0, 0), "kept"],
  ["100: all of them", records(100), shares(3, 3, 0), "violated"],
  ["100: all invalid", records(100), shares(0, 0, 5), "violated"],
  ["100: all but one", records(100), shares(1_000_000, 999_999, 0), "kept"],
  ["100: none of none", records(100), shares(0, 0, 0), "kept"],
  ["a failed run with rejected rows", records(0), failed(), "nothing"],
  ["a cancelled run with rejected rows", records(0), failed({ canceled: true }), "nothing"],

  ["the start of a run", onStart, STARTED, "came"],
  ["its success", onStart, ended(), "nothing"],
  ["the start of a run", onEnd, STARTED, "nothing"],
  ["its success", onEnd, ended(), "came"],
  ["its failure", onEnd, failed(), "nothing"],
  ["its cancelling", onEnd, failed({ canceled: true }), "nothing"],

  ["a full sync that was asked for", fullSync, checked(true, ["user_requested"]), "came"],
  ["a full sync for two reasons", fullSync, checked(true, ["mapping_changed", "user_requested"]), "came"],
  ["the first run ever", fullSync, checked(true, ["first_run"]), "nothing"],
  ["the first run, asked to be full", fullSync, checked(true, ["first_run", "user_requested"]), "nothing"],
  ["a run that sends changes only", fullSync, checked(false), "nothing"],
  ["the end of a run", fullSync, ended(), "nothing"],

  ["a run that goes on beyond the limit", runtime({ threshold: 1 }), { kind: "overdue" }, "violated"],
  ["60 s after the actual start", runtime({ threshold: 1 }), ended(), "kept"],
  ["more than 60 s", runtime({ threshold: 1 }), ended({ endedMs: START + 61_001 }), "violated"],
  ["a failed run within the limit", runtime({ threshold: 1 }), failed(), "kept"],
  ["a cancelled run within it", runtime({ threshold: 1 }), failed({ canceled: true }), "nothing"],
  [
    "a cancelled run beyond it",
    runtime({ threshold: 1 }),
    ended({ canceled: true, endedMs: 1e15 }),
    "nothing",
  ],
  ["a run that never started", runtime({ threshold: 1 }), failed({ actualMs: null }), "nothing"],
  ["61 s after the scheduled start", runtime({ threshold: 1, start_type: "scheduled" }), ended(), "violated"],
  ["1 hour", runtime({ threshold: "1", unit: "hours" }), ended({ endedMs: START + 3_601_001 }), "violated"],
  [
    "less than 1 hour",
    runtime({ threshold: 1, unit: "hours" }),
    ended({ endedMs: START + 3_600_000 }),
    "kept",
  ],

  ["fewer runs than it looks back on", rows(0), ended({}, [100]), "nothing"],
  ["in the middle of the range", rows(10), ended({}, [90, 110]), "kept"],
  ["at the limit above", rows(25), ended({}, [80, 80]), "kept"],
  ["beyond the limit above", rows(24), ended({}, [80, 80]), "violated"],
  ["at the limit below", rows(20), ended({}, [125, 125]), "kept"],
  ["beyond the limit below", rows(19), ended({}, [125, 125]), "violated"],
  ["only the last two count", rows(10), ended({}, [100, 100, 9_999]), "kept"],
  ["0 percent: the mean itself", rows(0), ended({}, [99, 101]), "kept"],
  ["0 percent: anything else", rows(0), ended({}, [99, 100]), "violated"],
  ["a mean of 0 and a value", rows(100_000), ended({}, [0, 0]), "violated"],
  ["a mean of 0 and none", rows(0, "records_invalid"), ended({}, [0, 0]), "kept"],
  ["a failed run", rows(0), failed(), "nothing"],
  [
    "a count that is not known",
    rows(0),
    ended({ counters: { ...COUNTERS, source_record_count: null } }, [1, 1]),
    "nothing",
  ],
];

describe("the rules of alerts", () => {
  test.each(RULES)("%s: $1.type says $3", (_rule, alert, moment, kind) => {
    expect(judge(alert, moment)?.kind ?? "nothing").toBe(kind);
  });

  test.each([
    ["source_record_count", 1],
    ["records_updates", 2],
    ["records_deletes", 3],
    ["records_invalid", 4],
    ["records_processed", 5],
    ["records_updated", 6],
    ["records_failed", 7],
  ])("a deviation of %s looks at its own counter", (record_type, value) => {
    const run = ended({
      counters: {
        source_record_count: 1,
        source_record_updates: 2,
        source_record_deletes: 3,
        source_record_invalids: 4,
        records_processed: 5,
        records_updated: 6,
        records_failed: 7,
      },
    }) as Extract<Moment, { kind: "ended" }>;
    const verdict = judge(rows(0, record_type), { ...run, valuesBefore: [100, 100] });
    expect(verdict?.details).toBe(`${record_type} was ${value}, average 100 over 2 runs, limit 0%`);
  });

  test("every type has its rules here", () => {
    expect(new Set(RULES.map(([, { type }]) => type))).toEqual(new Set(ALERT_TYPES));
  });

  test("a sync that says nothing of alerts is watched for failures and failed records above 75 percent", () => {
    const types = ["FailureAlertConfiguration", "InvalidRecordPercentAlertConfiguration"] as const;
    expect(DEFAULT_ALERTS).toEqual(types.map((type) => setting(type)));
    expect(records().options).toEqual({ threshold: 75 });
  });

  test.each([
    [{ threshold: 5 }, START + 1_000 + 5 * MINUTE],
    [{ threshold: "5", unit: "hours" }, START + 1_000 + 300 * MINUTE],
    [{ threshold: 5, start_type: "scheduled" }, START + 5 * MINUTE],
  ])("a run is late by %j at its start plus the limit", (options, expected) => {
    const alert = runtime(options) as Extract<AlertSetting, { type: "RuntimeAlertConfiguration" }>;
    expect(overdueAtMs(alert, { actualMs: START + 1_000, scheduledMs: START })).toBe(expected);
  });

  test("a run that has not started is not late by its actual start", () => {
    const alert = runtime({ threshold: 5 }) as Extract<AlertSetting, { type: "RuntimeAlertConfiguration" }>;
    expect(overdueAtMs(alert, { actualMs: null, scheduledMs: START })).toBeNull();
  });
});

describe("what becomes of an alert", () => {
  const verdict = (kind: Kind): Verdict => (kind === "nothing" ? null : { kind, message: "", details: "" });

  test.each<[Kind, "resolved" | "raised", AlertSetting["send_for"], ReturnType<typeof factFor>]>([
    ["violated", "resolved", "first_time", "limit.violated"],
    ["violated", "resolved", "every_time", "limit.violated"],
    ["violated", "raised", "first_time", null],
    ["violated", "raised", "every_time", "limit.violated"],
    ["kept", "resolved", "first_time", null],
    ["kept", "resolved", "every_time", null],
    ["kept", "raised", "first_time", "limit.kept"],
    ["kept", "raised", "every_time", "limit.kept"],
    ["came", "resolved", "first_time", "moment.came"],
    ["came", "resolved", "every_time", "moment.came"],
    ["nothing", "raised", "every_time", null],
    ["nothing", "resolved", "first_time", null],
  ])("%s while %s and %s: %s", (kind, state, sendFor, fact) => {
    expect(factFor(verdict(kind), { isRaised: state === "raised", sendFor })).toBe(fact);
  });
});

describe("the texts of alerts", () => {
  test.each<[AlertSetting, Moment, string, string]>([
    [failure, failed(), "Sync Failed", "Sync has failed with error: it broke"],
    [failure, ended(), "Sync Recovered", "Sync has recovered"],
    [
      records(10),
      shares(7, 1, 1),
      "Records Failed",
      "2 of 8 records (25%) were invalid or rejected, above 10%",
    ],
    [
      records(0),
      shares(3, 1, 0),
      "Records Failed",
      "1 of 3 records (33.33%) were invalid or rejected, above 0%",
    ],
    [
      records(0),
      shares(1_000_000, 1, 0),
      "Records Failed",
      "1 of 1000000 records (0.0001%) were invalid or rejected, above 0%",
    ],
    [records(75), shares(8, 1, 0), "Records Recovered", "12.5% of records failed, within 75%"],
    [records(75), shares(0, 0, 0), "Records Recovered", "0% of records failed, within 75%"],
    [records(75), shares(4, 3, 0), "Records Recovered", "75% of records failed, within 75%"],
    [onStart, STARTED, "Sync Started", "Run 7011 has started"],
    [onEnd, ended(), "Sync Completed", "Run 7011 has completed"],
    [
      fullSync,
      checked(true, ["mapping_changed", "user_requested"]),
      "Full Sync Triggered",
      "Reasons: mapping_changed, user_requested",
    ],
    [
      runtime({ threshold: 30 }),
      { kind: "overdue" },
      "Sync Running Long",
      "Run exceeded 30 minutes since actual start",
    ],
    [
      runtime({ threshold: 2, unit: "hours", start_type: "scheduled" }),
      { kind: "overdue" },
      "Sync Running Long",
      "Run exceeded 2 hours since scheduled start",
    ],
    [runtime({ threshold: 2 }), ended(), "Sync Runtime Recovered", "Run finished in 1 min 0 s"],
    [
      runtime({ threshold: 200 }),
      ended({ endedMs: START + 1_000 + 125 * MINUTE }),
      "Sync Runtime Recovered",
      "Run finished in 2 h 5 min",
    ],
    [
      rows(10),
      ended({}, [60, 61]),
      "Record Count Deviation",
      "source_record_count was 100, average 60.5 over 2 runs, limit 10%",
    ],
    [
      rows(10),
      ended({}, [100, 101]),
      "Record Count Recovered",
      "source_record_count was 100, average 100.5 over 2 runs, limit 10%",
    ],
  ])("$0.type: $2 / $3", (alert, moment, message, details) => {
    expect(judge(alert, moment)).toMatchObject({ message, details });
  });

  test("the payload has the public fields and no other, compact", () => {
    const payload = alertPayload({
      event: "sync.alert.raised",
      workspaceId: 12,
      syncId: 88,
      runId: 7012,
      episode: 501,
      type: "FailureAlertConfiguration",
      message: "Sync Failed",
      details: "Sync has failed with error: it broke",
      followupUrl: "https://host/syncs/88/runs/7012",
    });
    expect(payload).toBe(
      '{"workspace_id":12,"sync_id":88,"sync_run_id":7012,"alert_instance_id":501,"alert_type":"FailureAlertConfiguration",' +
        '"message":"Sync Failed","details":"Sync has failed with error: it broke",' +
        '"followup_url":"https://host/syncs/88/runs/7012","event":"sync.alert.raised"}',
    );
  });
});
