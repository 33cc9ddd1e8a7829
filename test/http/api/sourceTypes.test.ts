/** What the API says of the kinds of sources that there are. */
import { beforeAll, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { testEgret } from "../../support/egret.ts";

let api: TestApi;

beforeAll(async () => {
  api = await testApi(await testEgret({ roles: ["api"] }));
});

describe("the kinds of sources", () => {
  test("come in one answer, with rules and possible values always as lists", async () => {
    const { status, body } = await api.get("/source_types?page=1&per_page=1");
    expect(status).toBe(200);
    expect(Object.keys(body)).toEqual(["status", "data"]);
    const [postgres] = body.data;
    expect(postgres).toMatchObject({
      service_name: "postgres",
      creatable_via_api: true,
      editable_via_api: true,
      creatable_via_connect_link: true,
      supported_sync_engines: ["basic", "advanced"],
    });
    const { fields } = postgres.configuration_fields;
    expect(fields.map(({ id }: { id: string }) => id)).toEqual([
      "hostname",
      "port",
      "database",
      "user",
      "password",
      "sslmode",
    ]);
    for (const field of fields) {
      expect(field).toMatchObject({
        label: expect.any(String),
        type: expect.any(String),
        rules: expect.any(Array),
        possible_values: expect.any(Array),
        is_password_type_field: field.id === "password",
      });
    }
  });
});
