/** An engine of which the syncs have their state in the source: each its own table, runs from plan to end, and crashes. */
import type { Sync } from "../../src/domain/configuration.ts";
import {
  type EngineFixture,
  makeSync,
  openEngine,
  type PlannedRun,
  type SyncParts,
  withHome,
} from "./fixture.ts";

/** What tests of a state in the source share. */
export interface AdvancedScene {
  engine: EngineFixture;
  /** A sync of a table of its own with these ids, its state in the source. */
  newSync(ids: string[], parts?: Partial<SyncParts>): Promise<Sync & { table: string }>;
  /** Plans and ends a run; gives back what was sent. */
  run(sync: Sync): Promise<PlannedRun & { sent: unknown[] }>;
  /** Whether our Postgres has the state of a sync. */
  isHere(syncId: number): Promise<boolean | undefined>;
  /** Makes our Postgres refuse one kind of change until `mend` is called, as if the process died just before it. */
  breaking(table: string, when: string): Promise<{ mend(): Promise<void> }>;
}

/** The order of what was sent. */
export const byText = (a: unknown, b: unknown) => (String(a) < String(b) ? -1 : 1);

/** Opens it for the tests of one file. */
export async function openAdvancedScene(): Promise<AdvancedScene> {
  const engine = await openEngine();
  let lastSync = 0;
  const newSync: AdvancedScene["newSync"] = async (ids, parts = {}) => {
    lastSync += 1;
    const name = `people_${lastSync}`;
    await engine.onSource(`create table public.${name} (id text, plan text, city text)`);
    await engine.onSource(
      `insert into public.${name} select id, 'a', 'x' from unnest($1::text[]) as u (id)`,
      [ids],
    );
    const object = { type: "table", schema: "public", table: name } as const;
    const sync = makeSync({ sourceUrl: engine.sourceUrl, syncId: lastSync, object, ...parts });
    return { ...withHome(sync, "advanced"), table: `public.${name}` };
  };
  const run: AdvancedScene["run"] = async (sync) => {
    const planned = await engine.plan(sync);
    const sent = (await engine.records(planned.runId)).map((record) => record["unique_id"]);
    await engine.end(sync, planned);
    return { ...planned, sent: sent.toSorted(byText) };
  };
  const isHere: AdvancedScene["isHere"] = async (syncId) => {
    const { rows } = await engine.database.pool.query<{ here: boolean }>(
      "select to_regclass($1) is not null as here",
      [`egret_state.rows_${syncId}`],
    );
    return rows[0]?.here;
  };
  const breaking: AdvancedScene["breaking"] = async (table, when) => {
    const { pool } = engine.database;
    await pool.query(`
      create or replace function egret_state.die() returns trigger language plpgsql as $$ begin raise exception 'died'; end $$;
      create trigger die before ${when} on ${table} for each statement execute function egret_state.die()`);
    return {
      mend: async () => {
        await pool.query(`drop trigger die on ${table}`);
      },
    };
  };
  return { engine, newSync, run, isHere, breaking };
}
