import { describe, expect, test } from "vitest";
import { mappingsFor, normalizedName } from "../../src/domain/fieldNames.ts";

describe("normalizedName", () => {
  test.each([
    ["account_size", "Account Size", "account size", "ACCOUNT SIZE", "accountSize", "account_size"],
    ["accountSize", "Account Size", "account size", "ACCOUNT SIZE", "accountSize", "account_size"],
    ["ACCOUNT-SIZE", "Account Size", "account size", "ACCOUNT SIZE", "accountSize", "account_size"],
    ["HTTPServer", "Http Server", "http server", "HTTP SERVER", "httpServer", "http_server"],
    ["address2line", "Address2line", "address2line", "ADDRESS2LINE", "address2line", "address2line"],
    [
      "  größe der Straße ",
      "Größe Der Straße",
      "größe der straße",
      "GRÖSSE DER STRASSE",
      "größeDerStraße",
      "größe_der_straße",
    ],
    ["ИмяКлиента", "Имя Клиента", "имя клиента", "ИМЯ КЛИЕНТА", "имяКлиента", "имя_клиента"],
    ["顧客 名", "顧客 名", "顧客 名", "顧客 名", "顧客名", "顧客_名"],
    ["𐐨𐐩 x", "𐐀𐐩 X", "𐐨𐐩 x", "𐐀𐐁 X", "𐐨𐐩X", "𐐨𐐩_x"],
    ["👍", "👍", "👍", "👍", "👍", "👍"],
    ["__", "__", "__", "__", "__", "__"],
  ])("of %s", (column, ...[start, lower, upper, camel, snake]) => {
    expect(normalizedName(column, "start_case")).toBe(start);
    expect(normalizedName(column, "lower_case")).toBe(lower);
    expect(normalizedName(column, "upper_case")).toBe(upper);
    expect(normalizedName(column, "camel_case")).toBe(camel);
    expect(normalizedName(column, "snake_case")).toBe(snake);
    expect(normalizedName(column, "match_source_names")).toBe(column);
  });
});

describe("mappingsFor", () => {
  const listed = [
    { column: "id", to: "unique_id", key: true },
    { column: "a", to: "x" },
    { constant: 1, to: "one" },
  ];

  test("are the listed ones unless every column is sent", () => {
    expect(mappingsFor(listed, { field_behavior: "specific_properties" }, ["id", "a", "b"])).toBe(listed);
  });

  test("have one more for each column that no mapping copies", () => {
    const options = { field_behavior: "sync_all_properties", field_normalization: "upper_case" } as const;
    expect(mappingsFor(listed, options, ["b", "id", "a", "c_d"])).toEqual([
      ...listed,
      { column: "b", to: "B" },
      { column: "c_d", to: "C D" },
    ]);
  });
});
