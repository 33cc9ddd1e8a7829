import { describe, expect, test } from "vitest";
import { operationsText, schemaText, typeOf } from "../../scripts/clientTypes.ts";
import { operationIdOf } from "../../src/http/api/operationId.ts";

describe("types from JSON Schema", () => {
  test.each([
    [{ type: "integer" }, "number"],
    [{ type: ["string", "null"] }, "string | null"],
    [{ enum: ["a", "b", null] }, '"a" | "b" | null'],
    [{ const: "success" }, '"success"'],
    [{ $ref: "#/components/schemas/Link" }, 'Schemas["Link"]'],
    [{ type: "array", items: { type: ["integer", "null"] } }, "(number | null)[]"],
    [{ type: "object", additionalProperties: { type: "string" } }, "{ [name: string]: string }"],
    [{ type: "object", properties: { a: { type: "null" } }, required: ["a"] }, "{\na: null;\n}"],
    [{ type: "object", properties: { "a-b": { type: "boolean" } } }, '{\n"a-b"?: boolean | undefined;\n}'],
    [{ anyOf: [{ type: "string" }, { type: "string" }, { type: "number" }] }, "string | number"],
    [{ allOf: [{ $ref: "#/x/A" }], properties: { b: {} } }, 'Schemas["A"] & {\nb?: unknown;\n}'],
    [{}, "unknown"],
    [{ anyOf: [{ type: "string" }, {}] }, "unknown"],
  ])("%j is %s", (schema, type) => {
    expect(typeOf(schema)).toBe(type);
  });

  test("an operation is its input and the answer of success", () => {
    const answer = { content: { "application/json": { schema: { type: "string" } } } };
    const text = schemaText({
      paths: {
        "/a/{id}": {
          post: {
            operationId: "doA",
            summary: "Do it",
            parameters: [
              { name: "id", in: "path", required: true, schema: { type: "integer" } },
              { name: "full", in: "query", schema: { type: "boolean" } },
            ],
            requestBody: { content: { "application/json": { schema: { type: "object" } } } },
            responses: { 200: answer, 400: { description: "wrong" } },
          },
        },
      },
    });
    expect(text.replaceAll(/\s+/g, " ")).toContain(
      "doA: { input: { path: { id: number; }; query?: { full?: boolean | undefined; } | undefined; " +
        "body?: { [name: string]: unknown } | undefined; }; answer: string; };",
    );
  });

  test("two operations of one name are refused, with where they are", () => {
    const get = { operationId: "getA", responses: {} };
    expect(() => operationsText({ paths: { "/a": { get }, "/b": { get } } })).toThrow("GET /a, GET /b");
  });
});

describe("names of operations", () => {
  test.each([
    ["get", "/syncs", "listSyncs"],
    ["get", "/syncs/{id}", "getSync"],
    ["post", "/syncs", "createSync"],
    ["patch", "/syncs/{id}", "updateSync"],
    ["delete", "/sources/{id}/models/{mid}", "deleteSourceModel"],
    ["post", "/syncs/{id}/trigger", "triggerSync"],
    ["post", "/syncs/{id}/dry_run", "dryRunSync"],
    ["get", "/syncs/{id}/sync_runs", "listSyncRuns"],
    ["get", "/sync_runs", "listAllSyncRuns"],
    ["get", "/sync_runs/{id}/events", "listSyncRunEvents"],
    ["post", "/sync_runs/{id}/cancel", "cancelSyncRun"],
    ["get", "/sync_runs/{id}/records_count", "getSyncRunRecordsCount"],
    ["post", "/sources/{id}/refresh_tables", "refreshSourceTables"],
    ["get", "/sources/{id}/refresh_tables_status", "getSourceRefreshTablesStatus"],
    ["post", "/webhooks/{id}/rotate_secret", "rotateWebhookSecret"],
    ["get", "/webhooks/{id}/deliveries", "listWebhookDeliveries"],
    ["post", "/webhook_deliveries/{did}/redeliver", "redeliverWebhookDelivery"],
    ["post", "/sync_management_links", "createSyncManagementLink"],
    ["get", "/workspace", "getOwnWorkspace"],
    ["get", "/workspaces/{id}", "getWorkspace"],
  ])("%s %s is %s", (method, path, name) => {
    expect(operationIdOf(method, path)).toBe(name);
  });
});
