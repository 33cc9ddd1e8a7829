/** What the statements of a database were at while something went on: a look many times a second, counted. */
import { writeFile } from "node:fs/promises";
import { Client } from "pg";

const LOOK_EVERY_MS = 25;
const SHOWN = 40;
const SHOWN_CHARACTERS = 110;

/** Does the work and writes a table of how often which statement was seen running, and what it waited for. */
export async function withActivity<Result>(
  { databaseUrl, file }: { databaseUrl: string; file: string },
  work: () => Promise<Result>,
): Promise<Result> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  const seen = new Map<string, number>();
  const over = new AbortController();
  const looking = (async () => {
    while (!over.signal.aborted) {
      const { rows } = await client.query<{ what: string }>({
        name: "activity",
        text: `SELECT coalesce(wait_event, 'running') || ': ' || left(regexp_replace(query, '\\s+', ' ', 'g'), ${SHOWN_CHARACTERS}) AS what
               FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()`,
      });
      for (const { what } of rows) seen.set(what, (seen.get(what) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  })();
  try {
    return await work();
  } finally {
    over.abort();
    await looking;
    await client.end();
    const most = [...seen].toSorted(([, a], [, b]) => b - a).slice(0, SHOWN);
    await writeFile(file, most.map(([what, times]) => `${String(times).padStart(6)} ${what}\n`).join(""));
  }
}
