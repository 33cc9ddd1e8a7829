import { expect, test } from "vitest";
import { openDatabase } from "../../src/projections/database.ts";
import { testDatabase } from "../support/namespace.ts";

const { url } = await testDatabase();

test("a connection in use that the server ends does not end the process", async () => {
  const { pool, close } = openDatabase(url, { maxConnections: 2 });
  const client = await pool.connect();
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const ended = new Promise<void>((resolve) => client.once("end", resolve));
  // Between two queries nobody but the pool's own listener hears of it: an uncaught error would fail this file.
  await pool.query("select pg_terminate_backend($1)", [rows[0]?.pid]);
  await ended;
  client.release(true);
  expect((await pool.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  await close();
});
