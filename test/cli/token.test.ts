/** `egret token`: made once, listed without secrets, revoked. */
import { beforeAll, describe, expect, test } from "vitest";
import { firstToken } from "../../src/cli/firstToken.ts";
import { findApiTokens } from "../../src/configuration/apiTokens.ts";
import { openDatabase } from "../../src/projections/database.ts";
import { apiTokenHash } from "../../src/security/apiToken.ts";
import { ownInstallation, runCli } from "../support/cli.ts";

const installation = await ownInstallation();
const url = installation["EGRET_DATABASE_URL"] ?? "";
const egret = (...args: string[]) => runCli(["token", ...args], installation);

async function inDatabase<T>(work: (db: ReturnType<typeof openDatabase>["db"]) => Promise<T>): Promise<T> {
  const database = openDatabase(url);
  try {
    return await work(database.db);
  } finally {
    await database.close();
  }
}

const isInForce = (token: string) =>
  inDatabase(async (db) => (await findApiTokens(db, [apiTokenHash(token)])).length === 1);

beforeAll(() =>
  inDatabase(async (db) => {
    await db
      .insertInto("egret.workspaces")
      .values([{ name: "demo" }, { name: "other" }])
      .execute();
  }),
);

// Each starts the program several times, which takes seconds on a busy machine.
describe("egret token", { timeout: 240_000 }, () => {
  test("makes a token, shows it once, lists it without itself, and revokes it", async () => {
    const made = await egret(
      "create",
      "--name",
      "airflow",
      "--scopes",
      "operate",
      "--workspace",
      "demo",
      "--json",
    );
    expect(made.code).toBe(0);
    const { token, token_id, workspace } = JSON.parse(made.stdout);
    expect(workspace).toBe("demo");
    expect(await isInForce(token)).toBe(true);
    const list = await egret("list", "--workspace", "demo");
    expect(list.stdout).toContain("airflow");
    expect(list.stdout).toContain("operate");
    expect(list.stdout).not.toContain(token);
    expect((await egret("list", "--workspace", "other")).stdout).toContain("no tokens yet");
    const wrong = await egret("revoke", String(token_id), "--workspace", "other");
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("workspace other has no token");
    expect((await egret("revoke", String(token_id), "--workspace", "demo")).code).toBe(0);
    expect(await isInForce(token)).toBe(false);
  });

  test("makes a personal token, with an end", async () => {
    const made = await egret("create", "--personal", "--expires", "90d");
    expect(made.code).toBe(0);
    expect(made.stdout).toMatch(/personal[^]*\n {2}secret-token:[\w-]{43}\n/);
    const { stdout } = await egret("list", "--personal", "--json");
    const row = JSON.parse(stdout);
    expect(row).toMatchObject({ kind: "personal", workspace_id: null, scopes: ["read", "operate", "admin"] });
    const days = (Date.parse(row.expires_at) - Date.now()) / 86_400_000;
    expect(days).toBeGreaterThan(89.9);
    expect(days).toBeLessThan(90.1);
  });

  test("refuses what it cannot use, and says what it can", async () => {
    const cases = [
      [["--scopes", "root"], "read, operate, admin"],
      [["--expires", "yesterday"], "90d"],
      [["--expires", "2020-01-01"], "to come"],
      [["--personal", "--workspace", "demo"], "exclude"],
      [[], "several workspaces"],
    ] as const;
    const answers = await Promise.all(cases.map(([args]) => egret("create", ...args)));
    for (const [at, [args, said]] of cases.entries()) {
      expect({ args, code: answers[at]?.code }).toEqual({ args, code: 2 });
      expect(answers[at]?.stderr).toContain(said);
    }
  });

  test("of the first token of an installation there is one", async () => {
    expect(await inDatabase((db) => firstToken(db, "test"))).toBeNull();
    await inDatabase((db) => db.deleteFrom("egret.api_tokens").execute());
    const token = await inDatabase((db) => firstToken(db, "test"));
    expect(await isInForce(token ?? "")).toBe(true);
    expect(await inDatabase((db) => firstToken(db, "test"))).toBeNull();
  });
});
