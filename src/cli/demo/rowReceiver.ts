/** The destination of the demo: receives batches of rows, checks their signatures, keeps the rows. */
import {
  type AnsweredRequest,
  type DevelopmentReceiver,
  header,
  startDevelopmentReceiver,
} from "../receiver.ts";

/** A record as it arrived. */
export type ReceivedRecord = Record<string, unknown> & { unique_id: string };

/** The destination while it listens. */
export interface RowReceiver extends DevelopmentReceiver {
  /** Requests with rows so far. */
  readonly batches: number;
  /** Requests whose signature did not hold. */
  readonly badSignatures: number;
  /** Batches that came more than once, by their Idempotency-Key. */
  readonly repeated: number;
  /** Takes out what arrived since the last call. */
  takeRecords(): ReceivedRecord[];
}

/** Starts the destination; every request must be signed with the secret. */
export async function startRowReceiver(secret: string): Promise<RowReceiver> {
  let records: ReceivedRecord[] = [];
  let badSignatures = 0;
  let repeated = 0;
  const keys = new Set<string>();
  const receive = (request: AnsweredRequest): void => {
    if (request.signature !== "valid") badSignatures += 1;
    // The connection test is a request without a body.
    if (request.body.length === 0) return;
    const key = header(request.headers, "idempotency-key") ?? "";
    if (keys.has(key)) repeated += 1;
    keys.add(key);
    const { data } = JSON.parse(request.body.toString("utf8")) as { data: ReceivedRecord[] };
    records.push(...data);
  };
  const receiver = await startDevelopmentReceiver({
    port: 0,
    secret: () => secret,
    answer: () => 200,
    onRequest: receive,
  });
  return {
    ...receiver,
    get batches() {
      return keys.size;
    },
    get badSignatures() {
      return badSignatures;
    },
    get repeated() {
      return repeated;
    },
    takeRecords: () => {
      const taken = records;
      records = [];
      return taken;
    },
  };
}
