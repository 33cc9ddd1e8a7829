/** The warehouse of the demo: a Postgres database with one real table, and the edits that the second sync finds. */
import { createReadStream } from "node:fs";
import { access } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import pg from "pg";
import copyStreams from "pg-copy-streams";
import { AppError } from "../../domain/errors.ts";

/** A row of `public.airports`. */
export interface Airport {
  iata: string;
  name: string;
  city: string | null;
  state: string | null;
  country: string | null;
  latitude: number;
  longitude: number;
}

/** What was changed between the two syncs. */
export interface Edits {
  edited: string[];
  deleted: string;
}

/** Public data of airports, as the npm package vega-datasets ships it. */
const DATA = path.join(import.meta.dirname, "../../../node_modules/vega-datasets/data/airports.csv");
const DATABASE = "warehouse";
const EDITED = ["ORD", "LAX", "JFK", "SFO", "SEA"];
const DELETED = "00M";

/** Creates the database and loads the table; returns its address. */
export async function createWarehouse(adminUrl: string): Promise<string> {
  await access(DATA).catch((cause: unknown) => {
    throw new AppError("DEMO_DATA", "the demo's data set is not installed: run npm ci in Egret's folder", {
      cause,
    });
  });
  await withClient(adminUrl, (client) => client.query(`create database ${DATABASE}`));
  const url = new URL(adminUrl);
  url.pathname = `/${DATABASE}`;
  await withClient(url.href, async (client) => {
    await client.query(`
      create table public.airports (
        iata      text primary key,
        name      text not null,
        city      text,
        state     text,
        country   text,
        latitude  double precision not null,
        longitude double precision not null
      )`);
    const sink = client.query(
      copyStreams.from("copy public.airports from stdin with (format csv, header match)"),
    );
    await pipeline(createReadStream(DATA), sink);
  });
  return url.href;
}

/** Every row as it now stands. */
export function readAirports(url: string): Promise<Airport[]> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<Airport>("select * from public.airports order by iata");
    return rows;
  });
}

/** Renames some airports, closes one. */
export function editAirports(url: string): Promise<Edits> {
  return withClient(url, async (client) => {
    const sql = "update public.airports set name = name || ' (renamed)' where iata = any($1) returning iata";
    const { rows } = await client.query<{ iata: string }>(sql, [EDITED]);
    await client.query("delete from public.airports where iata = $1", [DELETED]);
    return { edited: rows.map(({ iata }) => iata).sort(), deleted: DELETED };
  });
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
