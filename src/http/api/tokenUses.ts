/** When tokens were last used: noted at most once a minute for each, and never in a request's way. */
import type { Logger } from "pino";
import { GatheredWrites } from "./gatheredWrites.ts";

const MINUTE_MS = 60_000;
/** Beyond this many tokens the notes begin anew, which costs a write for each. */
const MAX_KNOWN = 50_000;

/** Notes uses for one process. */
export class TokenUses {
  readonly #notedMs = new Map<number, number>();
  readonly #now: () => Date;
  readonly #writes: GatheredWrites<readonly [number, Date]>;

  constructor({
    note,
    now,
    logger,
  }: {
    note(uses: ReadonlyMap<number, Date>): Promise<void>;
    now(): Date;
    logger: Logger;
  }) {
    this.#now = now;
    const write = (uses: readonly (readonly [number, Date])[]) => note(new Map(uses));
    this.#writes = new GatheredWrites({ name: "api.token_uses", write, logger });
  }

  /** Returns at once. */
  add(tokenId: number): void {
    const at = this.#now();
    const notedMs = this.#notedMs.get(tokenId);
    if (notedMs !== undefined && at.getTime() - notedMs < MINUTE_MS) return;
    if (this.#notedMs.size >= MAX_KNOWN) this.#notedMs.clear();
    this.#notedMs.set(tokenId, at.getTime());
    this.#writes.add([tokenId, at]);
  }

  /** Writes what is noted. */
  flush(): Promise<void> {
    return this.#writes.flush();
  }
}
