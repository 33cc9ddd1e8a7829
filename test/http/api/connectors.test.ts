/** What a client learns of the kinds of destinations before it makes one. */
import { beforeAll, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { testEgret } from "../../support/egret.ts";

let api: TestApi;

beforeAll(async () => {
  const egret = await testEgret({ roles: ["api"], apiRequestsPerSecond: 0 });
  api = await testApi(egret);
});

interface Field {
  id: string;
  rules: unknown;
  type: string;
  is_password_type_field: boolean;
  possible_values: string[];
  placeholder: unknown;
}

describe("GET /connectors", () => {
  test("lists the kinds of destinations on the first page, with what clients look for", async () => {
    const { status, body } = await api.get("/connectors");
    expect(status).toBe(200);
    expect(body.status).toBe("success");
    const kinds = body.data.map(({ service_name }: { service_name: string }) => service_name).sort();
    expect(kinds).toEqual(["http_request", "webhook"]);
    for (const kind of body.data) {
      expect(kind).toMatchObject({
        creatable_via_api: true,
        creatable_via_connect_link: true,
        supports_test: true,
        documentation_slug: expect.any(String),
      });
    }
    expect(body.pagination).toMatchObject({ total_records: 2, page: 1, next_page: null, last_page: 1 });
    expect(body.next).toBeNull();
  });

  test("names each field's rules as a list, marks secrets, and offers the values of a choice", async () => {
    const { body } = await api.get("/connectors");
    const fieldsOf = (name: string): Map<string, Field> => {
      const kind = body.data.find(({ service_name }: { service_name: string }) => service_name === name);
      return new Map(kind.configuration_fields.fields.map((field: Field) => [field.id, field]));
    };
    const webhook = fieldsOf("webhook");
    expect(webhook.get("url")).toMatchObject({ rules: ["required"], type: "string", label: "URL" });
    expect(webhook.get("method")).toMatchObject({ rules: [], possible_values: ["POST", "PUT", "PATCH"] });
    expect(webhook.get("batch_size")).toMatchObject({ type: "integer", placeholder: "1", show: null });
    expect(webhook.get("auth_token")).toMatchObject({ is_password_type_field: true });
    expect(webhook.get("url")).toMatchObject({ is_password_type_field: false });
    expect(webhook.has("type")).toBe(false);
    const http = fieldsOf("http_request");
    for (const secret of ["headers", "url_parameters", "oauth", "tls"])
      expect(http.get(secret)).toMatchObject({ is_password_type_field: true, type: "object" });
    for (const field of [...webhook.values(), ...http.values()])
      expect(Array.isArray(field.rules)).toBe(true);
  });

  test("goes on by page and by cursor", async () => {
    const first = (await api.get("/connectors?per_page=1&order=asc")).body;
    expect(first.pagination).toMatchObject({ next_page: 2, last_page: 2 });
    const second = (await api.get("/connectors?per_page=1&order=asc&page=2")).body;
    const byCursor = (
      await api.get(`/connectors?per_page=1&order=asc&cursor=${first.pagination.next_cursor}`)
    ).body;
    expect(second.data).toEqual(byCursor.data);
    expect(second.data[0].service_name).not.toBe(first.data[0].service_name);
  });
});
