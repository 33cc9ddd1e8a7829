import { randomBytes } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { readAlertConfigurations } from "../../../src/configuration/alertConfigurations.ts";
import { applyChanges } from "../../../src/configuration/apply.ts";
import { parseEgretFile } from "../../../src/configuration/egretFile.ts";
import { planChanges } from "../../../src/configuration/plan.ts";
import { openDatabase } from "../../../src/projections/database.ts";
import { openSecretBox } from "../../../src/security/secretBox.ts";
import { testDatabase } from "../../support/namespace.ts";

const { url } = await testDatabase({ migrated: true });
const database = openDatabase(url);
afterAll(() => database.close());
const { db } = database;
const box = openSecretBox([randomBytes(32).toString("base64")]);

/** Applies a file whose sync says that of alerts, and returns its alert configurations. */
async function apply(alerts: string | null, { label = "first", withSync = true } = {}) {
  const sync = `syncs:
  people: { source: s, table: public.people, destination: d, key: id, label: "${label}"${alerts === null ? "" : `, alerts: ${alerts}`} }
`;
  const yaml = `workspace: demo
sources:
  s: { type: postgres, url: "postgres://u:p@db.example/w" }
destinations:
  d: { type: webhook, url: "https://d.example/in" }
${withSync ? sync : ""}`;
  const file = parseEgretFile(yaml, "egret.yaml", { env: {}, allowHttp: false });
  const describeObject = () => Promise.resolve([{ name: "id", type: "integer" }]);
  const plan = await planChanges({ db, box, file, describe: describeObject });
  await applyChanges({ db, box, plan, actor: "test" });
  const { rows } = await database.pool.query<{ id: number }>("select id from egret.syncs");
  return rows[0] === undefined ? [] : readAlertConfigurations(db, rows[0].id);
}
const ids = (configurations: Awaited<ReturnType<typeof apply>>) => configurations.map(({ id }) => id);
const records = (threshold: number | string, more = "") =>
  `{ type: InvalidRecordPercentAlertConfiguration, options: { threshold: ${threshold} }${more} }`;
const deviation =
  "{ type: RecordCountDeviationAlertConfiguration, options: { threshold: 10, record_type: records_failed } }";

describe("alert configurations", { concurrent: false }, () => {
  test("a sync that says nothing of alerts has the default ones, with integer ids", async () => {
    const configurations = await apply(null);
    expect(configurations.map(({ setting }) => [setting.type, setting.send_for, setting.options])).toEqual([
      ["FailureAlertConfiguration", "first_time", null],
      ["InvalidRecordPercentAlertConfiguration", "first_time", { threshold: 75 }],
    ]);
    for (const { id, since, workspaceId } of configurations) {
      expect(Number.isSafeInteger(id) && id > 0 && workspaceId > 0).toBe(true);
      expect(Math.abs(since.getTime() - Date.now())).toBeLessThan(60_000);
    }
  });

  test("keep their ids when the file is applied again, and when the sync changes otherwise", async () => {
    const before = ids(await apply(null));
    expect(ids(await apply(null))).toEqual(before);
    expect(ids(await apply(null, { label: "other" }))).toEqual(before);
    // Said outright, they are the same.
    expect(ids(await apply(`[{ type: FailureAlertConfiguration }, ${records(75)}]`))).toEqual(before);
    // A text of digits is its number, and the order does not matter.
    expect(ids(await apply(`[${records('"75"')}, { type: FailureAlertConfiguration }]`))).toEqual(before);
  });

  test("keep their ids when they change whom they tell and when", async () => {
    const before = await apply(`[${records(75)}]`);
    const after = await apply(`[${records(75, ", send_for: every_time, should_send_recovery: false")}]`);
    expect(ids(after)).toEqual(ids(before));
    expect(after[0]?.setting).toMatchObject({ send_for: "every_time", should_send_recovery: false });
    expect(after[0]?.since).toEqual(before[0]?.since);
  });

  test("are others when their options change", async () => {
    const [before] = ids(await apply(`[${records(75)}]`));
    const [after] = ids(await apply(`[${records(74)}]`));
    expect(after).toBeGreaterThan(before!);
    const [again] = ids(await apply(`[${records(75)}]`));
    expect(again).toBeGreaterThan(after!);
  });

  test("two that are alike are two, and one of them can go", async () => {
    const both = ids(await apply(`[${deviation}, ${deviation}]`));
    expect(new Set(both).size).toBe(2);
    expect(ids(await apply(`[${deviation}, ${deviation}]`, { label: "again" }))).toEqual(both);
    expect(ids(await apply(`[${deviation}]`))).toEqual([both[0]]);
  });

  test("an empty list watches nothing", async () => {
    expect(await apply("[]")).toEqual([]);
  });

  test("go with their sync, and a sync of that name gets others", async () => {
    const before = ids(await apply(null));
    await apply(null, { withSync: false });
    const { rows } = await database.pool.query(
      "select id from egret.alert_configurations where deleted_at is null",
    );
    expect(rows).toEqual([]);
    const after = ids(await apply(null));
    for (const id of after) expect(before).not.toContain(id);
  });

  test.each([
    ["{ type: RuntimeAlertConfiguration }", /alerts/],
    [records(101), /threshold/],
    ["{ type: StatusAlertConfiguration, options: { status_name: failed } }", /status_name/],
    ["{ type: OtherAlertConfiguration }", /alerts/],
  ])("%s is refused, and nothing changes", async (alert, message) => {
    const before = await apply(`[${records(60)}]`);
    await expect(apply(`[${alert}]`)).rejects.toMatchObject({
      problems: expect.arrayContaining([
        expect.objectContaining({ field: expect.stringMatching(message) as string }),
      ]) as unknown,
    });
    const [first] = before;
    expect(ids(await readAlertConfigurations(db, first!.syncId))).toEqual(ids(before));
  });
});
