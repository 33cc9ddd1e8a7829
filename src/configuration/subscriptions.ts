/** Which webhooks want an event, read together for all events that ask at one time. */
import type { Kysely } from "kysely";
import type { LifecycleEvent } from "../domain/lifecycle.ts";
import type { Database } from "../projections/database.ts";

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

/** Subscriptions of all workspaces; an answer is never older than its question, so a webhook just made is seen. */
export class SubscriptionReader {
  readonly #db: Kysely<Database>;
  readonly #reads = new Map<number, Reads>();

  constructor(db: Kysely<Database>) {
    this.#db = db;
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
    const running = this.#db
      .selectFrom("egret.webhooks")
      .select(["id", "events", "created_at"])
      .where("workspace_id", "=", workspaceId)
      .where("enabled", "=", true)
      .orderBy("id")
      .execute();
    const reads: Reads = { running, next: null };
    this.#reads.set(workspaceId, reads);
    const forget = () => {
      if (reads.next === null) this.#reads.delete(workspaceId);
    };
    running.then(forget, forget);
    return running;
  }
}
