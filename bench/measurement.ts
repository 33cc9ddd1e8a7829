/** What one benchmark line says, and by which rule it passes. */

/** One line of the table. A ratio always reads "more is better", so a line passes when `ratio >= bar`. */
export interface Measurement {
  name: string;
  value: number;
  /** Unit of `value` and of `reference`. */
  unit: string;
  /** What it is held against, measured in the same run, or a fixed limit; null when there is nothing to hold it against. */
  reference: number | null;
  ratio: number | null;
  /** Least ratio that passes; null when the line only reports. */
  bar: number | null;
  /** Null without a bar. */
  pass: boolean | null;
  /** What the reference is and how the ratio is taken, for people. */
  against: string;
}

/** A measurement, and what it is held against. */
export interface Held {
  name: string;
  value: number;
  unit: string;
  /** `rate`: more of the unit is better, the ratio is value / reference. `cost`: less is better, reference / value. */
  kind: "rate" | "cost";
  reference?: number;
  bar?: number;
  against: string;
}

/** Works out ratio and verdict. */
export function measured({ kind, reference, bar, ...rest }: Held): Measurement {
  const { value } = rest;
  const ratio = reference === undefined ? null : kind === "rate" ? value / reference : reference / value;
  return {
    ...rest,
    reference: reference ?? null,
    ratio,
    bar: bar ?? null,
    pass: bar === undefined || ratio === null ? null : ratio >= bar,
  };
}
