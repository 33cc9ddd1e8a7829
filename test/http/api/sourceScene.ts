/** An API over a warehouse with some tables, and how sources are made in it. */
import { expect } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { type TestEgret, testEgret } from "../../support/egret.ts";

/** A table or model of a source as the API lists it. */
export interface ListedObject {
  type: string;
  id: number;
  table_schema: string;
  table_name: string;
  table_catalog: string;
  columns: { name: string; type: string }[];
}

/** What tests of sources share; `credentials` are those of the warehouse. */
export interface SourceScene {
  egret: TestEgret;
  api: TestApi;
  /** Of another workspace. */
  other: TestApi;
  credentials: Record<string, unknown>;
  /** Makes a source over the API; its id. */
  make(connection?: Record<string, unknown>, sent?: Record<string, unknown>): Promise<number>;
  /** What the API lists in a source. */
  objects(id: number, query?: string): Promise<ListedObject[]>;
}

/** Nobody listens there. */
export const AWAY = { hostname: "127.0.0.1", port: 1, database: "none", user: "u", password: "s3cret-pw" };

/** Opens it for the tests of one file. */
export async function openSourceScene(): Promise<SourceScene> {
  const egret = await testEgret({ roles: ["api"] });
  const api = await testApi(egret);
  const other = await testApi(egret, { workspaceName: "other" });
  const { hostname, port, pathname, username, password } = new URL(egret.databaseUrl);
  const credentials = {
    hostname,
    port: Number(port),
    database: pathname.slice(1),
    user: username,
    password: decodeURIComponent(password),
  };
  await egret.services.database.pool.query(`
    create schema shop; create schema egret_own;
    create table shop.orders (id bigint, city text); create view shop.open_orders as select id from shop.orders;
    create table shop."odd.name" (id int); create table egret_own.rows_1 (key text);
    create table shop.parts (id int, at date) partition by range (at);
    create table shop.parts_2026 partition of shop.parts for values from ('2026-01-01') to ('2027-01-01')`);
  const make: SourceScene["make"] = async (connection = {}, sent = credentials) => {
    const body = { connection: { type: "postgres", name: "Warehouse", credentials: sent, ...connection } };
    const { status, body: answer } = await api.post("/sources", body);
    expect(answer).toEqual({ status: "created", data: { id: expect.any(Number) } });
    expect(status).toBe(201);
    return answer.data.id;
  };
  const objects: SourceScene["objects"] = async (id, query = "per_page=100") => {
    const { status, body } = await api.get(`/sources/${id}/objects?${query}`);
    expect(status).toBe(200);
    return body.data;
  };
  return { egret, api, other, credentials, make, objects };
}
