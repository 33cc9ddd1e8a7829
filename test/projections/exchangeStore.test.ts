import { zstdDecompressSync } from "node:zlib";
import type pg from "pg";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { hideSecretHeaders, withoutSecrets } from "../../src/destinations/exchange.ts";
import { openDatabase } from "../../src/projections/database.ts";
import { dayOf, listExchangeDays, makeExchangeDays } from "../../src/projections/exchangeDays.ts";
import { ExchangeStore, type ExchangeStoreOptions } from "../../src/projections/exchangeStore.ts";
import { type MadeExchange, readExchanges } from "../../src/projections/exchanges.ts";
import type { AttemptOutcome } from "../../src/runtime/deliveries/attempt.ts";
import { testDatabase } from "../support/namespace.ts";

const { url } = await testDatabase({ migrated: true });
const { db, pool, close } = openDatabase(url);
const stores: ExchangeStore[] = [];

afterAll(async () => {
  for (const store of stores) await store.close(1_000);
  await close();
});
beforeEach(() => pool.query("truncate egret.exchanges"));

const NOON = Date.UTC(2026, 2, 3, 12);
const quiet = () => ({ info: vi.fn(), warn: vi.fn() });

/** A store that writes only when it is told to, or has a chunk. */
function open(options: Partial<ExchangeStoreOptions> = {}): ExchangeStore {
  const now = () => NOON + 1_000;
  const store = new ExchangeStore({ pool, log: quiet(), gatherMs: 3_600_000, now, ...options });
  stores.push(store);
  return store;
}

function made(changes: Partial<MadeExchange> & Partial<MadeExchange["exchange"]> = {}): MadeExchange {
  const { requestHeaders = { "x-a": "1" }, responseHeaders = { server: "s" }, responseBody = "ok" } = changes;
  const { split = { dnsMs: null, connectMs: 1.5, tlsMs: null, firstByteMs: 2, totalMs: 2.25 } } = changes;
  return {
    targetKind: "webhook",
    targetId: 4,
    deliveryId: "7-1-4",
    attempt: 1,
    startedAt: new Date(NOON),
    ...changes,
    exchange: { requestHeaders, responseHeaders, responseBody, split },
  };
}

const count = async () =>
  (await pool.query<{ kept: number }>("select coalesce(sum(exchanges), 0) as kept from egret.exchanges"))
    .rows[0]?.kept;
const keptByDay = async () => {
  const { rows } = await pool.query<{ day: string; kept: number }>(
    `select relname as day, sum(exchanges) as kept from egret.exchanges e join pg_class on pg_class.oid = e.tableoid
     group by 1 order by 1`,
  );
  return rows;
};
const OURS = { targetKind: "webhook", targetId: 4, deliveryId: "7-1-4" } as const;
const attemptAt = (startedMs: number) => ({ startedAt: new Date(startedMs), durationMs: 10 });
/** A machine may be slow; what never comes fails all the same. */
const PATIENCE = { timeout: 20_000 };
const days = async () => (await listExchangeDays(pool)).map(({ partition }) => partition);

/** A pool whose Postgres can be away. */
function fickle() {
  const state = { isAway: false, asked: 0 };
  const connect = async () => {
    state.asked += 1;
    if (state.isAway) throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    return pool.connect();
  };
  return { state, pool: { connect } as unknown as pg.Pool };
}

describe("an exchange", () => {
  test("comes back as it was taken, whatever is in it", async () => {
    const store = open();
    const odd = 'tab\there, "quotes", back\\slash, \\N, line\r\nend, ünïcode ✓ \u0000 \ud800';
    const first = made({
      requestHeaders: { "x-odd": odd, plain: "a" },
      responseHeaders: { "x-many": ["a", "b\\c"], server: "\\u0000 as text" },
      responseBody: odd,
      split: { dnsMs: 1.25, connectMs: 2.5, tlsMs: 12.125, firstByteMs: 20.5, totalMs: 21.75 },
    });
    const none = made({ attempt: 2, startedAt: new Date(NOON + 4_000), responseBody: null });
    store.add({ ...none, exchange: { ...none.exchange, responseHeaders: null } });
    store.add(first);
    store.add(made({ targetId: 5 }));
    store.add(made({ targetKind: "destination" }));
    store.add(made({ deliveryId: "7-1-5" }));
    await store.flush();
    const attempts = [attemptAt(NOON), attemptAt(NOON + 4_000)];
    const found = await readExchanges(db, { ...OURS, attempts });
    expect(found).toEqual([
      {
        attempt: 1,
        startedAt: new Date(NOON),
        exchange: first.exchange,
      },
      {
        attempt: 2,
        startedAt: new Date(NOON + 4_000),
        exchange: { ...none.exchange, responseHeaders: null },
      },
    ]);
  });

  test("that was written twice, since an acknowledgement was lost, is shown once", async () => {
    const store = open();
    for (let copy = 0; copy < 2; copy += 1) store.add(made());
    await store.flush();
    expect(await readExchanges(db, { ...OURS, attempts: [attemptAt(NOON)] })).toHaveLength(1);
  });

  test("whose outcome a crash swallowed is found by the attempt that repeated it", async () => {
    const store = open();
    store.add(made({ startedAt: new Date(NOON - 4_000) }));
    await store.flush();
    store.add(made());
    await store.flush();
    const found = await readExchanges(db, { ...OURS, attempts: [attemptAt(NOON)] });
    expect(found.map(({ startedAt }) => startedAt.getTime() - NOON)).toEqual([-4_000, 0]);
  });

  test("is found among those of a busy hour, chunk by chunk", async () => {
    const wanted = open({ now: () => NOON + 300 });
    for (let chunk = 0; chunk < 120; chunk += 1) {
      const store = open({ now: () => NOON + chunk * 100 });
      store.add(made({ deliveryId: `8-${chunk}-4` }));
      await store.flush();
    }
    wanted.add(made({ responseBody: "here" }));
    await wanted.flush();
    const found = await readExchanges(db, { ...OURS, attempts: [attemptAt(NOON)] });
    expect(found).toMatchObject([{ exchange: { responseBody: "here" } }]);
    expect(await readExchanges(db, { ...OURS, targetId: 5, attempts: [attemptAt(NOON)] })).toEqual([]);
    expect(await readExchanges(db, { ...OURS, attempts: [attemptAt(NOON + 3_600_000)] })).toEqual([]);
  });

  test("as destinations make it has no secret in it (I11)", async () => {
    const secret = "whsec_0123456789abcdef";
    const sent = hideSecretHeaders({ Authorization: `Bearer ${secret}`, "X-Key": secret }, ["x-key"]);
    const body = withoutSecrets(`you sent ${secret}`, sent.secrets);
    // What the worker hands over is what the store takes.
    const exchange: NonNullable<Exclude<AttemptOutcome, { kind: "dropped" }>["exchange"]> = {
      ...made({ requestHeaders: sent.headers, responseBody: body }).exchange,
      call: { method: "POST", url: "https://a.example/x", httpStatus: 200, error: null },
    };
    const store = open();
    store.add({ ...made(), exchange });
    await store.flush();
    const { rows } = await pool.query<{ lines: Buffer }>("select lines from egret.exchanges");
    const lines = rows.map((row) => zstdDecompressSync(row.lines).toString()).join("");
    expect(lines).toContain("authorization");
    expect(lines).not.toContain(secret);
  });
});

describe("days", () => {
  test("are made by the first that needs one, several processes at once", async () => {
    await pool.query("drop table if exists egret.exchanges_20310304, egret.exchanges_20310305");
    let nowMs = Date.UTC(2031, 2, 5) - 1;
    const racing = Array.from({ length: 8 }, () => open({ now: () => nowMs }));
    for (let day = 0; day < 2; day += 1) {
      for (const store of racing) store.add(made());
      await Promise.all(racing.map((store) => store.flush()));
      nowMs += 1;
    }
    expect(await keptByDay()).toEqual([
      { day: "exchanges_20310304", kept: 8 },
      { day: "exchanges_20310305", kept: 8 },
    ]);
  });

  test("end at midnight UTC, whatever the time zone of the session", async () => {
    const client = await pool.connect();
    await client.query("set timezone = 'Pacific/Auckland'");
    await makeExchangeDays(client, [dayOf(Date.UTC(2032, 0, 31)), dayOf(Date.UTC(2032, 1, 1))]);
    client.release(true);
    const store = open({ now: () => Date.UTC(2032, 1, 1) - 1 });
    store.add(made());
    await store.flush();
    expect(await keptByDay()).toEqual([{ day: "exchanges_20320131", kept: 1 }]);
  });

  test("that were dropped under a store that knew them are made again", async () => {
    const store = open({ now: () => Date.UTC(2033, 0, 1) });
    store.add(made());
    await store.flush();
    await pool.query("drop table egret.exchanges_20330101");
    store.add(made());
    await store.flush();
    expect(await count()).toBe(1);
    expect(await days()).toContain("exchanges_20330101");
    expect(store.dropped).toBe(0);
  });
});

describe("a store", () => {
  test("writes by itself once rows have gathered for a while, or a chunk is full", async () => {
    const patient = open({ gatherMs: 1 });
    patient.add(made());
    await expect.poll(count, PATIENCE).toBe(1);
    const busy = open();
    for (let row = 0; row < 500; row += 1) busy.add(made());
    await expect.poll(count, PATIENCE).toBe(501);
  });

  test("writes what waits when it is closed, and nothing after", async () => {
    const store = open();
    for (let row = 0; row < 1_203; row += 1) store.add(made());
    await store.close();
    store.add(made());
    await store.flush();
    expect(await count()).toBe(1_203);
    expect(store.dropped).toBe(1);
  });

  test("keeps rows while Postgres is away, says so once, and writes them when it is back", async () => {
    const { state, pool: away } = fickle();
    const log = quiet();
    const store = open({ pool: away, log });
    state.isAway = true;
    for (let row = 0; row < 700; row += 1) store.add(made());
    const flushed = store.flush();
    await expect.poll(() => state.asked, PATIENCE).toBeGreaterThan(2);
    state.isAway = false;
    await flushed;
    expect(await count()).toBe(700);
    expect(log.warn.mock.calls.map(([, message]) => String(message))).toEqual(["exchanges.waiting"]);
    expect(log.info).toHaveBeenCalledExactlyOnceWith({ dropped: 0 }, "exchanges.stored_again");
  });

  test("drops the oldest beyond its bound, counts them, and says so once", async () => {
    const { state, pool: away } = fickle();
    const log = quiet();
    const store = open({ pool: away, log, maxWaitingChars: 300_000 });
    state.isAway = true;
    for (let row = 0; row < 10_000; row += 1) store.add(made({ attempt: row + 1 }));
    expect(store.dropped).toBeGreaterThan(5_000);
    state.isAway = false;
    await store.flush();
    expect(await count()).toBe(10_000 - store.dropped);
    const found = await readExchanges(db, { ...OURS, attempts: [attemptAt(NOON)] });
    expect(found.at(-1)?.attempt).toBe(10_000);
    const warnings = log.warn.mock.calls.map(([, message]) => String(message));
    expect(warnings.filter((message) => message === "exchanges.dropping")).toHaveLength(1);
  });

  test("closes in bounded time when Postgres does not come back, and counts what is lost", async () => {
    const { state, pool: away } = fickle();
    const log = quiet();
    const store = open({ pool: away, log });
    state.isAway = true;
    for (let row = 0; row < 501; row += 1) store.add(made());
    await store.close(50);
    expect(store.dropped).toBe(501);
    expect(log.warn).toHaveBeenLastCalledWith({ dropped: 501 }, "exchanges.lost");
  });

  test("closes in bounded time when a write hangs", async () => {
    const store = open();
    store.add(made());
    const blocker = await pool.connect();
    await blocker.query("begin; lock table egret.exchanges in access exclusive mode");
    await store.close(50);
    await blocker.query("rollback");
    blocker.release();
    expect(store.dropped).toBe(1);
  });
});
