/** Writes that no request waits for: gathered for a moment, then written together, the last of them at the end. */
import type { Logger } from "pino";
import { toError } from "../../domain/errors.ts";

/** Gathered for so long, ms: what a process that dies at once can lose. Source: ours. */
const GATHERED_MS = 200;
/** What could not be written is kept for the next time, up to this many. */
const MAX_KEPT = 10_000;

/** What is written how. */
export interface GatheredOptions<T> {
  /** In the log when it fails, such as `api.audit`. */
  name: string;
  write(items: readonly T[]): Promise<void>;
  logger: Logger;
}

/** Gathers items of one kind. */
export class GatheredWrites<T> {
  readonly #options: GatheredOptions<T>;
  #items: T[] = [];
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: GatheredOptions<T>) {
    this.#options = options;
  }

  /** Returns at once. */
  add(item: T): void {
    this.#items.push(item);
    this.#timer ??= setTimeout(() => void this.flush(), GATHERED_MS).unref();
  }

  /** Writes what is there; resolves when it stands, or when it failed and was told to the log. */
  flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    const items = this.#items;
    if (items.length === 0) return;
    this.#items = [];
    try {
      await this.#options.write(items);
    } catch (error) {
      const kept = [...items, ...this.#items].slice(-MAX_KEPT);
      const lost = items.length + this.#items.length - kept.length;
      this.#items = kept;
      const { logger, name } = this.#options;
      logger.error({ err: toError(error), waiting: kept.length, lost }, `${name}.not_written`);
    }
  }
}
