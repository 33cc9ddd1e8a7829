import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildProgram } from "../../src/cli/program.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { ExchangeStore } from "../../src/projections/exchangeStore.ts";
import { projectBatch } from "../../src/projections/projectEvents.ts";
import { ownInstallation, runCli } from "../support/cli.ts";
import { deliveryHistory, EPOCH_MS, stored } from "../support/events.ts";

const env = await ownInstallation();
let database: OpenDatabase;
const silent = { info: () => undefined, warn: () => undefined };

beforeAll(async () => {
  database = openDatabase(env["EGRET_DATABASE_URL"] ?? "");
  const histories = [1, 2, 3, 4, 5].flatMap((n) =>
    deliveryHistory({
      deliveryId: `7-${n}-14`,
      targetKind: "webhook",
      targetId: 14,
      runId: 7,
      retries: n === 5 ? 1 : 0,
      end: n === 2 ? "exhausted" : "delivered",
      startMs: EPOCH_MS + n * 1_000,
    }),
  );
  const client = await database.pool.connect();
  await projectBatch(client, { stream: "deliveries", streamCreated: new Date(0), events: stored(histories) });
  client.release();
  const store = new ExchangeStore({ pool: database.pool, log: silent, now: () => EPOCH_MS + 5_000 });
  store.add({
    targetKind: "webhook",
    targetId: 14,
    deliveryId: "7-5-14",
    attempt: 2,
    startedAt: new Date(EPOCH_MS),
    exchange: {
      requestHeaders: { "x-event-id": "e-1", "x-signature": "***" },
      responseHeaders: { server: "unit" },
      responseBody: "thank you",
      split: { dnsMs: null, connectMs: 1, tlsMs: null, firstByteMs: 7, totalMs: 8 },
    },
  });
  await store.close();
});
afterAll(() => database.close());

async function lines(...args: string[]): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await runCli(["deliveries", ...args, "--json"], env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("egret deliveries list", () => {
  test("goes on where the page before ended", async () => {
    const first = await lines("list", "--limit", "3");
    const second = await lines("list", "--limit", "3", "--after", String(first.at(-1)?.["cursor"]));
    const ids = [...first, ...second].map(({ id }) => id);
    expect(ids).toEqual(["7-5-14", "7-4-14", "7-3-14", "7-2-14", "7-1-14"]);

    const { stdout, stderr } = await runCli(["deliveries", "list", "--limit", "3"], env);
    expect(stdout).toContain("7-5-14");
    expect(stderr).toBe(`There are more: add --after ${String(first.at(-1)?.["cursor"])}\n`);
  });

  test("shows what fits, and says so when nothing does", async () => {
    const dead = await lines("list", "--state", "dead", "--status", "500", "--run", "7");
    expect(dead.map(({ id }) => id)).toEqual(["7-2-14"]);
    const none = await runCli(["deliveries", "list", "--since", "1h"], env);
    expect(none.stdout).toBe("no deliveries fit\n");
  });
});

describe("egret deliveries show", () => {
  test("shows every attempt, and what was said in it as long as that is kept", async () => {
    const [shown] = await lines("show", "7-5-14");
    expect(shown).toMatchObject({
      id: "7-5-14",
      attemptList: [
        { attempt: 1, http_status: 503, exchanges: [] },
        { attempt: 2, http_status: 200, exchanges: [{ exchange: { responseBody: "thank you" } }] },
      ],
    });
    const { stdout } = await runCli(["deliveries", "show", "7-5-14"], env);
    expect(stdout).toContain("sync.started for webhook 14  delivered");
    expect(stdout).toContain("> x-event-id: e-1");
    expect(stdout).toContain("< server: unit");
    expect(stdout).toContain("| thank you");
    expect(stdout).toContain("connect 1 ms, first byte 7 ms, total 8 ms");
  });
});

test("every subcommand of the operator's tools has a help text with an example", async () => {
  const program = await buildProgram(undefined);
  const parents = new Set(["deliveries", "replay", "webhook", "destination"]);
  for (const parent of program.commands.filter((command) => parents.has(command.name()))) {
    expect(parent.commands.length).toBeGreaterThan(0);
    for (const command of parent.commands) {
      let text = "";
      command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp();
      expect(text).toMatch(new RegExp(`Examples?:\\n.*egret ${parent.name()} ${command.name()}`, "s"));
    }
  }
});
