import { spawnSync } from "node:child_process";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { schemaFiles } from "../../src/configuration/jsonSchema.ts";

const root = path.join(import.meta.dirname, "../..");
const files = schemaFiles();
const schemaOf = (file: string) => z.fromJSONSchema(JSON.parse(files.get(file)!));

describe("the JSON Schemas in docs/", () => {
  test("are current", () => {
    const check = spawnSync(process.execPath, ["scripts/schemas.ts", "--check"], {
      cwd: root,
      encoding: "utf8",
    });
    expect(check.stderr).toBe("");
    expect(check.status).toBe(0);
  });

  test("cover every event and every command", () => {
    expect([...files.keys()]).toEqual(
      expect.arrayContaining([
        "docs/egret.schema.json",
        "docs/events/sync.triggered.schema.json",
        "docs/events/delivery.dead.schema.json",
        "docs/events/config.updated.schema.json",
        "docs/commands/trigger.schema.json",
      ]),
    );
  });

  test("take a file with references where an address is due, and refuse unknown keys and bad names", () => {
    const schema = schemaOf("docs/egret.schema.json");
    const destination = { type: "webhook", url: "${OPS_URL}" };
    expect(schema.safeParse({ workspace: "demo", destinations: { ops: destination } }).success).toBe(true);
    expect(schema.safeParse({ workspace: "demo", destinations: { "9ops": destination } }).success).toBe(
      false,
    );
    expect(
      schema.safeParse({ workspace: "demo", destinations: { ops: { ...destination, extra: 1 } } }).success,
    ).toBe(false);
    const sync = { model: "m", destination: "ops", key: "id", mappings: ["a", { column: "b", to: "c" }] };
    expect(schema.safeParse({ workspace: "demo", syncs: { s: sync } }).success).toBe(true);
    expect(
      schema.safeParse({ workspace: "demo", webhooks: { w: { endpoint: "https://h", events: ["no"] } } })
        .success,
    ).toBe(false);
  });

  test("describe each field of the file to an editor", () => {
    const text = files.get("docs/egret.schema.json")!;
    expect(text).toContain("column that identifies a row; it travels as unique_id");
    expect(JSON.parse(text)).toMatchObject({ $schema: "http://json-schema.org/draft-07/schema#" });
  });

  test("let a later version add a field to an event, but none to a command", () => {
    const event = {
      specversion: "1.0",
      id: "0199f0a0-0000-7000-8000-000000000000",
      source: "egret",
      type: "sync.started",
      subject: "run/1",
      time: "2026-01-01T00:00:00.000Z",
      datacontenttype: "application/json",
      version: 2,
      machine: "syncRun@1",
      state: "started.checking",
      later: true,
      data: { workspace_id: 1, sync_id: 1, sync_run_id: 1, worker: "w", later: true },
    };
    expect(schemaOf("docs/events/sync.started.schema.json").safeParse(event).success).toBe(true);
    const command = schemaOf("docs/commands/trigger.schema.json");
    expect(command.safeParse({ sync: "airports" }).success).toBe(true);
    expect(command.safeParse({ sync: "airports", full: true }).success).toBe(false);
  });
});
