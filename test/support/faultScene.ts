/** A whole Egret behind gates, with one sync for each phase of a run: a test holds each in its phase, and breaks something. */
import { Client } from "pg";
import { vi } from "vitest";
import { type EgretSettings, openServices, type Services } from "../../src/main.ts";
import { Releases } from "../../src/releases.ts";
import { applyYaml, triggerAndWait } from "./egret.ts";
import { type EgretProcess, startEgretProcess } from "./egretProcess.ts";
import { removeStreams } from "./log.ts";
import { type Answer, type ReceivedRequest, type Receiver, startReceiver } from "./receiver.ts";
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
  /** Resolves once the source has noticed that nobody waits for what it was asked. */
  deserted(): Promise<unknown>;
  /** Triggers all syncs, and returns when each is in its phase and cannot leave it. */
  holdEach(): Promise<{ runs: Map<Phase, HeldRun>; release(): Promise<void> }>;
  /** Ends everything that the scene opened. */
  close(): Promise<void>;
}

const ROWS = 30;

/**
 * Sets the scene on a warehouse and with settings of the test's own. A source of Egret is a view over a function that
 * stops at one row, in the reading of the keys or of the records, as long as the test holds an advisory lock.
 */
export async function openFaultScene(places: Places): Promise<FaultScene> {
  const releases = new Releases();
  try {
    return await setScene(places, releases);
  } catch (error) {
    await releases.release();
    throw error;
  }
}

/** Where it plays; dropped by whoever made them. */
interface Places {
  warehouseUrl: string;
  direct: EgretSettings;
}

async function setScene({ warehouseUrl, direct }: Places, releases: Releases): Promise<FaultScene> {
  const gates = {
    source: await openGate(warehouseUrl),
    database: await openGate(direct.databaseUrl),
    nats: await openGate(direct.natsUrl),
  };
  const settings = { ...direct, databaseUrl: gates.database.url, natsUrl: gates.nats.url };
  const connect = async (url: string): Promise<Client> => {
    const client = new Client({ connectionString: url });
    client.on("error", () => undefined);
    releases.push(() => client.end());
    await client.connect();
    return client;
  };
  const source = await connect(warehouseUrl);
  await prepareSource(source);
  const answers = new Answers();
  const receiver = await startReceiver(({ path }) => answers.to(path.slice(1)));
  releases.push(() => receiver.close());
  const subscriber = await startReceiver();
  releases.push(() => subscriber.close());
  const services = await openServices(direct);
  releases.push(() => services.close());
  releases.push(() => removeStreams(services.connection));
  await applyYaml({ services }, egretYaml(gates.source.url, { receiver, subscriber }));
  let egret = await startEgretProcess(settings);
  releases.push(() => egret.kill9());

  const requests = (phase: Phase) => receiver.requests.filter(({ path }) => path === `/${phase}`);
  // Of their own, and never in a transaction: inside one, the server shows its sessions as they were at the first look.
  const watch = { source: await connect(warehouseUrl), own: await connect(direct.databaseUrl) };
  /** Resolves when so many sessions of the database wait for a lock. */
  const waiting = (place: "source" | "own", count: number) =>
    vi.waitUntil(async () => (await lockWaiters(watch[place])) === count, { timeout: 60_000, interval: 20 });

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
      const locks = { source: await connect(warehouseUrl), own: await connect(direct.databaseUrl) };
      const runs = new Map<Phase, HeldRun>();
      const release = async (): Promise<void> => {
        answers.release();
        await Promise.all([locks.source.end(), locks.own.end()]);
      };
      try {
        for (const sql of SOURCE_LOCKS) await locks.source.query(sql);
        answers.hold("loading", "committing");
        for (const phase of PHASES) runs.set(phase, begin(services, phase, requests(phase).length));
        await waiting("source", 3);
        for (const phase of ["loading", "committing"] as const)
          await receiver.waitFor(() => requests(phase).length > (runs.get(phase)?.before ?? 0), 60_000);
        await locks.own.query(OWN_LOCK);
        answers.release("committing");
        await waiting("own", 1);
        return { runs, release };
      } catch (error) {
        // Kept, the locks would stop the test's own edits, and runs that go on the next ones.
        await release();
        await Promise.allSettled([...runs.values()].map(({ ended }) => ended));
        throw error;
      }
    },
    deserted: () => waiting("source", 0),
    close: () => releases.release(),
  };
}

const SOURCE_LOCKS = [
  "begin; lock table checking_rows in access exclusive mode",
  "select pg_advisory_xact_lock(hashtext('snapshotting keys'))",
  "select pg_advisory_xact_lock(hashtext('diffing records'))",
];
/** The last step of a run is to write down that it is done, in this row. */
const OWN_LOCK =
  "begin; select from egret.sync_states s join egret.syncs y on y.id = s.sync_id where y.name = 'committing' for update of s";

function begin(services: Services, phase: Phase, before: number): HeldRun {
  const ended = triggerAndWait({ services }, { sync: phase }, { timeoutMs: 90_000 });
  // Whoever waits for it hears of it; until then it is nobody's unhandled rejection.
  ended.catch(() => undefined);
  return { before, ended };
}

/** Answers of the receiver that can be held back, by path. */
class Answers {
  readonly #held = new Map<string, PromiseWithResolvers<void>>();

  async to(path: string): Promise<Answer> {
    await this.#held.get(path)?.promise;
    return {};
  }

  hold(...paths: Phase[]): void {
    for (const path of paths) this.#held.set(path, Promise.withResolvers());
  }

  /** Gives those that are held; all when none is named. */
  release(...paths: string[]): void {
    for (const path of paths.length > 0 ? paths : [...this.#held.keys()]) {
      this.#held.get(path)?.resolve();
      this.#held.delete(path);
    }
  }
}

function egretYaml(sourceUrl: string, targets: { receiver: Receiver; subscriber: Receiver }): string {
  const each = (line: (phase: Phase) => string) =>
    PHASES.map((phase) => `  ${phase}: ${line(phase)}`).join("\n");
  return `
workspace: demo
sources: { db: { type: postgres, url: "${sourceUrl}" } }
destinations:
${each((phase) => `{ type: webhook, url: "${targets.receiver.url}/${phase}", batch_size: 4, rate_limit_per_second: 5000 }`)}
syncs:
${each((phase) => `{ source: db, table: public.${phase}, destination: ${phase}, key: id, operation: mirror }`)}
webhooks: { pager: { endpoint: "${targets.subscriber.url}/hook" } }
`;
}

async function prepareSource(source: Client): Promise<void> {
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
}

async function lockWaiters(client: Client): Promise<number> {
  const { rows } = await client.query<{ waiters: number }>(
    `select count(*)::int as waiters from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rows[0]?.waiters ?? 0;
}
