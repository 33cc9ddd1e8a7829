/** What every contender beside Egret does with a job: the request that Egret's worker would make, and one row about it. */
import pg from "pg";
import { Agent } from "undici";
import { webhookRequest } from "../../src/runtime/deliveries/webhookTarget.ts";
import { pendingData } from "../deliveries.ts";
import type { Job, PeerSettings } from "./peer.ts";

/** Signs and sends; writes the row of the attempt when it has somewhere to. */
export interface Sender {
  /** @throws unless the answer is 200. */
  deliver(job: Job): Promise<void>;
  close(): Promise<void>;
}

/** What is written of an attempt, as the read model has it. */
interface AttemptRow {
  deliveryId: string;
  startedAt: Date;
  durationMs: number;
  status: number;
}

/** Opens the pool of connections to the sink, and the table of attempts unless `withRows` is false. */
export async function openSender(settings: PeerSettings, withRows: boolean): Promise<Sender> {
  const { concurrency, sinkUrl, databaseUrl } = settings;
  const pool = new Agent({ connections: concurrency, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
  const secrets = new Map(settings.webhooks.map((webhook) => [webhook.id, webhook]));
  const rows = withRows ? await AttemptRows.open(databaseUrl) : null;
  return {
    async deliver({ deliveryId, webhookId }) {
      const startedAt = new Date();
      const began = performance.now();
      const webhook = secrets.get(webhookId) ?? { id: 0, secret: "" };
      const request = webhookRequest(webhook, pendingData({ deliveryId, webhookId }), {
        attempt: 1,
        userAgent: "bench",
        nowMs: startedAt.getTime(),
      });
      const answer = await pool.request({ origin: sinkUrl, path: "/hook", method: "POST", ...request });
      await answer.body.dump();
      const { statusCode: status } = answer;
      if (status !== 200) throw new Error(`the sink answered ${status}`);
      await rows?.add({ deliveryId, startedAt, durationMs: performance.now() - began, status });
    },
    async close() {
      await pool.destroy();
      await rows?.close();
    },
  };
}

/**
 * Writes rows in statements as large as what came while the last one ran: the quickest way that still lets nobody go
 * on before their row is on the disk.
 */
class AttemptRows {
  readonly #client: pg.Client;
  #waiting: { row: AttemptRow; resolve(): void; reject(error: unknown): void }[] = [];
  #isWriting = false;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async open(databaseUrl: string): Promise<AttemptRows> {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    await client.query(`CREATE TABLE IF NOT EXISTS bench_attempts (delivery_id text, attempt int,
      started_at timestamptz, duration_ms double precision, http_status int, PRIMARY KEY (delivery_id, attempt))`);
    return new AttemptRows(client);
  }

  add(row: AttemptRow): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ row, resolve, reject });
      if (!this.#isWriting) void this.#write();
    });
  }

  close(): Promise<void> {
    return this.#client.end();
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      const rows = batch.map(({ row }) => row);
      await this.#client
        .query({
          name: "attempts",
          text: `INSERT INTO bench_attempts SELECT id, 1, at, ms, status
                 FROM unnest($1::text[], $2::timestamptz[], $3::float8[], $4::int[]) AS t (id, at, ms, status)`,
          values: [
            rows.map(({ deliveryId }) => deliveryId),
            rows.map(({ startedAt }) => startedAt),
            rows.map(({ durationMs }) => durationMs),
            rows.map(({ status }) => status),
          ],
        })
        .then(
          () => batch.forEach(({ resolve }) => resolve()),
          (error: unknown) => batch.forEach(({ reject }) => reject(error)),
        );
    }
    this.#isWriting = false;
  }
}
