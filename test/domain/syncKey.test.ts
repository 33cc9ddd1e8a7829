import { describe, expect, test } from "vitest";
import { keyTypeProblem } from "../../src/domain/syncKey.ts";

describe("the type of a sync key", () => {
  test.each([
    "text",
    "character varying",
    "character varying(3)",
    "character(2)",
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "numeric(10,2)",
    "numeric(10, 0)",
    "uuid",
    "date",
    "timestamp without time zone",
    "timestamp(3) without time zone",
    "timestamp with time zone",
  ])("may be %s", (type) => {
    expect(keyTypeProblem(type)).toBeNull();
  });

  test.each([
    "boolean",
    "real",
    "double precision",
    "json",
    "jsonb",
    "integer[]",
    "text[]",
    "character varying(3)[]",
  ])("may not be %s, and says why", (type) => {
    expect(keyTypeProblem(type)).toMatch(
      /^a column of type .+ cannot be the key \(.+\); choose .+ cast it to text/,
    );
  });

  test.each(["point", "bytea", "interval", "public.mood"])(
    "may not be %s, which has no agreed text form",
    (type) => {
      expect(keyTypeProblem(type)).toContain(`a column of type ${type} cannot be the key; choose`);
    },
  );
});
