/** Repeats a subject and its reference in turn, so that both meet the same moods of the machine, and takes medians. */

/** The middle one; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted.length >> 1;
  const middle = sorted.slice(sorted.length % 2 === 1 ? upper : upper - 1, upper + 1);
  return middle.reduce((sum, value) => sum + value, 0) / middle.length;
}

/**
 * Runs every contender once per round, the order turned by one each round, and returns the median of each. A contender
 * gets the number of the round, from 1, and returns its own measure; `prepare` comes before all of them.
 */
export async function alternate<Name extends string>(
  rounds: number,
  contenders: Record<Name, (round: number) => Promise<number>>,
  prepare?: (round: number) => Promise<void>,
): Promise<Record<Name, number>> {
  const names = Object.keys(contenders) as Name[];
  const values = new Map<Name, number[]>(names.map((name) => [name, []]));
  for (let round = 1; round <= rounds; round += 1) {
    await prepare?.(round);
    const turn = round % names.length;
    for (const name of [...names.slice(turn), ...names.slice(0, turn)]) {
      values.get(name)?.push(await contenders[name](round));
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(values.get(name) ?? [])])) as Record<
    Name,
    number
  >;
}

/** The smallest value that at least `share` of all do not exceed; 0.99 for p99. NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
