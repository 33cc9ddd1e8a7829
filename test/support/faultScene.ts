/** A whole Egret behind gates, with one sync for each phase of a run: a test holds each in its phase, and breaks something. */
import { Client } from "pg";
import { afterAll, vi } from "vitest";
import { type EgretSettings, openServices, type Services } from "../../src/main.ts";
import { applyYaml, testSettings, triggerAndWait } from "./egret.ts";
import { type EgretProcess, startEgretProcess } from "./egretProcess.ts";
import { testDatabase } from "./namespace.ts";
import { type ReceivedRequest, type Receiver, startReceiver } from "./receiver.ts";
import { heldRows } from "./receiverModel.ts";
import { openGate, type TcpGate } from "./tcpGate.ts";

/** The phases of a run that does something; each has a sync of that name. */
export const PHASES = ["checking", "snapshotting", "diffing", "loading", "committing"] as const;
export type Phase = (typeof PHASES)[number];

/** What can break. */
export interface Gates {
  source: TcpGate;
  database: TcpGate;
  nats: TcpGate;
}

/** A run that was held in its phase. */
export interface HeldRun {
  ended: ReturnType<typeof triggerAndWait>;
  /** Requests that the receiver had before it. */
  before: number;
}

/** The scene; services and warehouse are reached past the gates. */
export interface FaultScene {
  gates: Gates;
  services: Services;
  subscriber: Receiver;
  /** Of the Egret under test, which reaches everything through the gates. */
  settings: EgretSettings;
  egret(): EgretProcess;
  /** kill -9, and another Egret in its place. */
  restart(): Promise<void>;
  /** Runs SQL on the warehouse. */
  warehouse(sql: string): Promise<void>;
  /** What the receiver was told of a sync. */
  requests(phase: Phase): ReceivedRequest[];
  /** Rows by key, as they are in the source and as a receiver has them that does as it is told. */
  rows(phase: Phase): Promise<{ source: Map<string, unknown>; receiver: Map<string, unknown> }>;
  /** Triggers all syncs, and returns when each is in its phase and cannot leave it. */
  holdEach(): Promise<{ runs: Map<Phase, HeldRun>; release(): Promise<void> }>;
}

const ROWS = 30;

/**
 * Sets the scene. A source of Egret is a view over a function that stops at one row, in the reading of the keys or of
 * the records, as long as the test holds an advisory lock.
 */
export async function openFaultScene(): Promise<FaultScene> {
  const database = await testDatabase();
  const direct = await testSettings();
  const gates = {
    source: await openGate(database.url),
    database: await openGate(direct.databaseUrl),
    nats: await openGate(direct.natsUrl),
  };
  const settings = { ...direct, databaseUrl: gates.database.url, natsUrl: gates.nats.url };
  const sessions: Client[] = [];
  const connect = async (url: string): Promise<Client> => {
    const client = new Client({ connectionString: url });
    client.on("error", () => undefined);
    await client.connect();
    sessions.push(client);
    return client;
  };
  const source = await connect(database.url);
  const own = await connect(direct.databaseUrl);
  await source.query(`
    create function passes(place text) returns boolean volatile language plpgsql as $$
    declare pass text := place || case when current_query() ~ 'row_to_json' then ' records' else ' keys' end;
    begin
      perform pg_advisory_lock_shared(hashtext(pass)), pg_advisory_unlock_shared(hashtext(pass));
      return true;
    end $$`);
  for (const phase of PHASES) {
    await source.query(`
      create table ${phase}_rows (id int primary key, name text);
      insert into ${phase}_rows select n, 'Person ' || n from generate_series(1, ${ROWS}) n;
      create view ${phase} as select id, name from ${phase}_rows where id <> 7 or passes('${phase}')`);
  }

  const answers = new Map<string, PromiseWithResolvers<void>>();
  const receiver = await startReceiver(async ({ path }) => {
    await answers.get(path.slice(1))?.promise;
    return {};
  });
  const subscriber = await startReceiver();
  const services = await openServices(direct);
  await applyYaml(
    { services },
    `
workspace: demo
sources: { db: { type: postgres, url: "${gates.source.url}" } }
destinations:
${PHASES.map((phase) => `  ${phase}: { type: webhook, url: "${receiver.url}/${phase}", batch_size: 4, rate_limit_per_second: 5000 }`).join("\n")}
syncs:
${PHASES.map((phase) => `  ${phase}: { source: db, table: public.${phase}, destination: ${phase}, key: id, operation: mirror }`).join("\n")}
webhooks: { pager: { endpoint: "${subscriber.url}/hook" } }
`,
  );
  let egret = await startEgretProcess(settings);
  afterAll(async () => {
    await egret.kill9();
    await services.close();
    await Promise.all(sessions.map((client) => client.end()));
    await receiver.close();
    await subscriber.close();
  });

  const requests = (phase: Phase) => receiver.requests.filter(({ path }) => path === `/${phase}`);
  const begin = (phase: Phase): HeldRun => {
    const before = requests(phase).length;
    const ended = triggerAndWait({ services }, { sync: phase }, { timeoutMs: 90_000 });
    // Whoever waits for it hears of it; until then it is nobody's unhandled rejection.
    ended.catch(() => undefined);
    return { before, ended };
  };
  /** Resolves when so many sessions of the database wait for a lock. */
  const waiting = (client: Client, count: number) =>
    vi.waitUntil(async () => (await lockWaiters(client)) === count, { timeout: 60_000, interval: 20 });

  return {
    gates,
    services,
    subscriber,
    settings,
    requests,
    egret: () => egret,
    async restart() {
      await egret.kill9();
      egret = await startEgretProcess(settings);
    },
    warehouse: async (sql) => void (await source.query(sql)),
    async rows(phase) {
      const { rows } = await source.query<{ id: number; name: string }>(`select id, name from ${phase}_rows`);
      return {
        source: new Map(rows.map(({ id, name }) => [String(id), { unique_id: id, name }])),
        receiver: heldRows(requests(phase)),
      };
    },
    async holdEach() {
      const locks = await connect(database.url);
      const runs = new Map<Phase, HeldRun>();
      await locks.query(`begin; lock table checking_rows in access exclusive mode`);
      await locks.query("select pg_advisory_xact_lock(hashtext('snapshotting keys'))");
      await locks.query("select pg_advisory_xact_lock(hashtext('diffing records'))");
      for (const phase of ["loading", "committing"] as const) answers.set(phase, Promise.withResolvers());
      for (const phase of PHASES) runs.set(phase, begin(phase));
      await waiting(source, 3);
      for (const phase of ["loading", "committing"] as const)
        await receiver.waitFor(() => requests(phase).length > (runs.get(phase)?.before ?? 0), 60_000);
      // Its last step is to write down that it is done, in a row that we hold.
      await own.query(
        "begin; select from egret.sync_states s join egret.syncs y on y.id = s.sync_id where y.name = 'committing' for update of s",
      );
      answers.get("committing")?.resolve();
      await waiting(own, 1);
      return {
        runs,
        async release() {
          await locks.query("commit");
          await own.query("commit");
          for (const { resolve } of answers.values()) resolve();
          answers.clear();
        },
      };
    },
  };
}

async function lockWaiters(client: Client): Promise<number> {
  const { rows } = await client.query<{ waiters: number }>(
    `select count(distinct pid)::int as waiters from pg_locks
     where not granted and pid in (select pid from pg_stat_activity where datname = current_database())`,
  );
  return rows[0]?.waiters ?? 0;
}
