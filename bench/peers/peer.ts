/** What delivers beside Egret in the same run: without a queue, or from a queue in Postgres. */

/** The contenders, by the names that the table shows. */
export const PEERS = ["bare", "bare-row", "pg-boss", "graphile-worker"] as const;
export type PeerName = (typeof PEERS)[number];

/** One delivery as a job: the same facts that a delivery of ours is born with. */
export interface Job {
  deliveryId: string;
  webhookId: number;
}

/** One contender. */
export interface Peer {
  /** Puts the jobs where they wait; nobody works on them yet. */
  enqueue(jobs: readonly Job[]): Promise<void>;
  /** Starts working, and resolves when the last job has been answered and recorded as done. */
  work(count: number): Promise<void>;
  /** Stops working; not part of what is measured. */
  rest(): Promise<void>;
  close(): Promise<void>;
}

/** What a contender works with. */
export interface PeerSettings {
  databaseUrl: string;
  sinkUrl: string;
  webhooks: { id: number; secret: string }[];
  /** Requests under way at once. */
  concurrency: number;
}

/** What the process of a contender can be asked. */
export type PeerQuestion =
  | { kind: "enqueue"; jobs: Job[] }
  | { kind: "work"; count: number }
  | { kind: "rest" };
