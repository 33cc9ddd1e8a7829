/** A source that vanishes without a word: neither end waits for the other. */
import type pg from "pg";
import { beforeAll, describe, expect, test } from "vitest";
import type { Source } from "../../src/domain/configuration.ts";
import { endQuietly, openSession, postgresSource } from "../../src/sources/postgres.ts";
import { testDatabase } from "../support/namespace.ts";
import { openGate, type TcpGate } from "../support/tcpGate.ts";

const { url } = await testDatabase();

let gate: TcpGate;
let source: Source;

beforeAll(async () => {
  gate = await openGate(url);
  source = { id: 1, workspaceId: 1, name: "warehouse", type: "postgres", url: gate.url };
});

describe("a source that vanished without a word", () => {
  test.each(["between two statements", "in the middle of one"])("%s is left within seconds", async (when) => {
    const snapshot = await postgresSource.openSnapshot(source);
    const rows = when === "between two statements" ? null : await snapshot.copyOut("select pg_sleep(600)");
    rows?.on("error", () => undefined);
    gate.vanish();
    try {
      await snapshot.close();
    } finally {
      gate.open();
    }
  });

  test("does not answer in time to a new connection, and the run is told", async () => {
    gate.vanish();
    try {
      const opening = postgresSource.openSnapshot(source, { connectTimeoutMs: 200 });
      await expect(opening).rejects.toMatchObject({ runCode: "SOURCE_CONNECTION_FAILED" });
    } finally {
      gate.open();
    }
  });
});

describe("a session at the source", () => {
  test.each([{ writes: false }, { writes: true }])("is given up soon after we vanish: %o", async (kind) => {
    const session = await openSession(source, {}, kind);
    const settings = await settingsOf(session);
    await endQuietly(session);
    const idle = settings.get("tcp_keepalives_idle") ?? Infinity;
    const interval = settings.get("tcp_keepalives_interval") ?? Infinity;
    expect(idle + interval * (settings.get("tcp_keepalives_count") ?? Infinity)).toBeLessThanOrEqual(30);
    expect(settings.get("tcp_user_timeout")).toBeGreaterThan(0);
    expect(settings.get("idle_in_transaction_session_timeout")).toBeGreaterThan(0);
  });
});

async function settingsOf(session: pg.Client): Promise<Map<string, number>> {
  const { rows } = await session.query<{ name: string; value: number }>(
    `select name, setting::int as value from pg_settings
     where name like 'tcp_%' or name = 'idle_in_transaction_session_timeout'`,
  );
  return new Map(rows.map(({ name, value }) => [name, value]));
}
