/** Resources in the order they were opened; released backwards, once, whatever fails on the way. */

/** Whoever opens something pushes its release at once. */
export class Releases {
  readonly #releases: (() => Promise<void>)[] = [];
  #released: Promise<void> | null = null;

  push(release: () => Promise<void>): void {
    this.#releases.push(release);
  }

  /** Releases everything; a second call waits for the first. @throws the first error, after all were tried. */
  release(): Promise<void> {
    this.#released ??= this.#releaseAll();
    return this.#released;
  }

  async #releaseAll(): Promise<void> {
    const errors: unknown[] = [];
    for (const release of this.#releases.reverse())
      await release().catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw errors[0];
  }
}
