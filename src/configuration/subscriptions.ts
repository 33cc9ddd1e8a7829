/** Which webhooks want an event, read together for all events that ask at one time. */
import type pg from "pg";
import type { LifecycleEvent } from "../domain/lifecycle.ts";

/** An event as subscriptions see it. */
export interface WantedEvent {
  workspaceId: number;
  event: LifecycleEvent;
  producedAt: Date;
}

interface Subscription {
  id: number;
  events: string[];
  created_at: Date;
}

interface Reads {
  /** Began before now: too old for who asks now. */
  running: Promise<Subscription[]>;
  /** Begins when the running one is done, for all who ask until then. */
  next: Promise<Subscription[]> | null;
}

const SUBSCRIPTIONS =
  "select id, events, created_at from egret.webhooks where workspace_id = $1 and enabled order by id";

/** Subscriptions of all workspaces; an answer is never older than its question, so a webhook just made is seen. */
export class SubscriptionReader {
  readonly #pool: pg.Pool;
  readonly #reads = new Map<number, Reads>();

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /**
   * Ids of the enabled webhooks that subscribed to the event before it was produced (behaviour.md 6.2). Who asks
   * first is answered first.
   */
  async webhooksFor({ workspaceId, event, producedAt }: WantedEvent): Promise<number[]> {
    const subscriptions = await this.#read(workspaceId);
    return subscriptions
      .filter(({ events, created_at }) => events.includes(event) && created_at < producedAt)
      .map(({ id }) => id);
  }

  #read(workspaceId: number): Promise<Subscription[]> {
    const reads = this.#reads.get(workspaceId);
    if (reads === undefined) return this.#start(workspaceId);
    reads.next ??= reads.running.catch(() => undefined).then(() => this.#start(workspaceId));
    return reads.next;
  }

  #start(workspaceId: number): Promise<Subscription[]> {
    // Between an event and its first request there is nothing slower: prepared once for each connection.
    const running = this.#pool
      .query<Subscription>({ name: "subscriptions", text: SUBSCRIPTIONS, values: [workspaceId] })
      .then(({ rows }) => rows);
    const reads: Reads = { running, next: null };
    this.#reads.set(workspaceId, reads);
    const forget = () => {
      if (reads.next === null) this.#reads.delete(workspaceId);
    };
    running.then(forget, forget);
    return running;
  }
}
