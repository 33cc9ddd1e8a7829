/** Reads what the projector made of a soak's deliveries. */
import { setTimeout as wait } from "node:timers/promises";
import { Client } from "pg";

const PATIENCE_MS = 60_000;
const POLL_MS = 100;

/** The state of each delivery by its id, once the projector has passed that event; as far as it came after a minute. */
export async function readStates(databaseUrl: string, lastSequence: number): Promise<Map<string, string>> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const deadline = Date.now() + PATIENCE_MS;
    const sql = "select last_sequence::text as at from egret_read.checkpoints where stream = 'deliveries'";
    for (;;) {
      const { rows } = await client.query<{ at: string }>(sql);
      if (Number(rows[0]?.at ?? 0) >= lastSequence || Date.now() > deadline) break;
      await wait(POLL_MS);
    }
    const { rows } = await client.query<{ id: string; state: string }>(
      "select id, state from egret_read.deliveries",
    );
    return new Map(rows.map(({ id, state }) => [id, state]));
  } finally {
    await client.end();
  }
}
