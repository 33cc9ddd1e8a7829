/** `egret init`: a schema and one token, once. */
import { expect, test } from "vitest";
import { findApiTokens } from "../../src/configuration/apiTokens.ts";
import { openDatabase } from "../../src/projections/database.ts";
import { apiTokenHash } from "../../src/security/apiToken.ts";
import { ownInstallation, runCli } from "../support/cli.ts";

const installation = await ownInstallation();

test("egret init shows the first token once, and changes nothing the second time", {
  timeout: 120_000,
}, async () => {
  const first = await runCli(["init", "--json"], installation);
  expect(first.code).toBe(0);
  const { token } = JSON.parse(first.stdout) as { token: string };
  const database = openDatabase(installation["EGRET_DATABASE_URL"] ?? "");
  const found = await findApiTokens(database.db, [apiTokenHash(token)]);
  await database.close();
  expect(found).toMatchObject([{ kind: "personal" }]);
  const second = await runCli(["init"], installation);
  expect(second.code).toBe(0);
  expect(second.stdout).toContain("there are tokens already; make another with: egret token create");
  expect(second.stdout).not.toContain("secret-token:");
});
