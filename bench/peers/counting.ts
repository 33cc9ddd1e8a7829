/** How a queue's contender knows that all of its jobs are done. */

const POLL_MS = 5;

/** A promise that resolves once so many have been ticked off. */
export function countdown(count: number): { reached: Promise<void>; tick(some: number): void } {
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  let left = count;
  return {
    reached,
    tick(some) {
      left -= some;
      if (left <= 0) resolve();
    },
  };
}

/** Asks until the answer is yes. */
export async function waitUntil(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

/** The items in parts of at most `size`. */
export function cutInto<Item>(size: number, items: readonly Item[]): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, part) =>
    items.slice(part * size, (part + 1) * size),
  );
}
