/** A Postgres that vanishes without a word: whoever waits for its answer is told, and what it left behind is cleared away. */
import pg from "pg";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { BoundedClient, noticeLoss } from "../../src/projections/silentConnections.ts";
import { type TestDatabase, testDatabase } from "../support/namespace.ts";
import { openGate, type TcpGate } from "../support/tcpGate.ts";

const PATIENCE = { silenceMs: 100, askMs: 1_000 };

let database: TestDatabase;
let gate: TcpGate;

beforeAll(async () => {
  database = await testDatabase();
  gate = await openGate(database.url);
});

/** `asked` is where the server is asked whether it knows the connection. */
async function connect({ through, asked }: { through: string; asked: string }): Promise<pg.Client> {
  const client = new BoundedClient({ connectionString: through });
  client.on("error", () => undefined);
  await client.connect();
  await noticeLoss(client, asked, PATIENCE);
  return client;
}

describe("a query on a connection to our Postgres", () => {
  test.each([
    ["that the server forgot without a word fails", true],
    ["whose server cannot be reached any more fails", false],
  ])("%s", async (_what, isBack) => {
    const client = await connect({ through: gate.url, asked: isBack ? database.url : gate.url });
    gate.vanish();
    try {
      await expect(client.query("select 1")).rejects.toMatchObject({ code: "ECONNRESET" });
    } finally {
      gate.open();
    }
  });

  test("may take as long as it likes while the server knows it", async () => {
    const places = { through: gate.url, asked: gate.url };
    const [client, holder] = [await connect(places), await connect(places)];
    await holder.query("select pg_advisory_lock(1)");
    let isEnded = false;
    const waiting = client.query("select pg_advisory_lock(1)").finally(() => {
      isEnded = true;
    });
    const asked = vi.spyOn(pg.Client.prototype, "connect");
    await vi.waitUntil(() => asked.mock.calls.length >= 3, { timeout: 30_000 });
    asked.mockRestore();
    expect(isEnded).toBe(false);
    await holder.end();
    await waiting;
    await client.end();
  });
});

describe("a session of our Postgres", () => {
  test("that waits for a lock ends by itself once its client is gone", async () => {
    const client = await connect({ through: gate.url, asked: gate.url });
    const holder = await connect({ through: database.url, asked: database.url });
    await holder.query("select pg_advisory_lock(2)");
    const waiting = client.query("select pg_advisory_lock(2)").catch(() => undefined);
    const waiters = async (): Promise<number> => {
      const { rows } = await holder.query<{ waiters: number }>(
        `select count(*)::int as waiters from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rows[0]?.waiters ?? 0;
    };
    await vi.waitUntil(async () => (await waiters()) === 1, { timeout: 30_000 });
    gate.cut();
    gate.open();
    await waiting;
    // Every few seconds it looks.
    await vi.waitUntil(async () => (await waiters()) === 0, { timeout: 30_000, interval: 200 });
    await holder.end();
  });

  test("gives up a client whose host vanished within half a minute", async () => {
    const client = await connect({ through: database.url, asked: database.url });
    const { rows } = await client.query<{ name: string; seconds: number }>(
      "select name, setting::int as seconds from pg_settings where name like 'tcp_keepalives_%'",
    );
    await client.end();
    const {
      tcp_keepalives_idle: idle,
      tcp_keepalives_interval: interval,
      tcp_keepalives_count: count,
    } = Object.fromEntries(rows.map(({ name, seconds }) => [name, seconds]));
    expect((idle ?? Infinity) + (interval ?? Infinity) * (count ?? Infinity)).toBeLessThanOrEqual(30);
  });
});
