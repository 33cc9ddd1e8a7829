/**
 * Counters and histograms for paths that run thousands of times a second. Each combination of labels is made once, at
 * the start, and counting it is an addition: prom-client checks, sorts and joins the labels at every call.
 */
import type { Registry } from "prom-client";

type Labels = Readonly<Record<string, string>>;

/** One line of the exposition, as prom-client's registry prints it. */
interface Sample {
  metricName?: string;
  labels: Record<string, string | number>;
  value: number;
}

/** A metric's name and help, and where it is shown. */
export interface MetricIdentity {
  name: string;
  help: string;
  registry: Registry;
}

/** A number under fixed labels: whoever counts changes `value`. */
export interface Tally {
  value: number;
}

/** A counter or a gauge, made of one tally for each combination of labels. */
export class Tallies {
  readonly #samples: (Sample & Tally)[] = [];

  constructor(type: "counter" | "gauge", identity: MetricIdentity) {
    register(type, identity, () => this.#samples);
  }

  /** The tally of those labels, shown from now on; asked for once. */
  of(labels: Labels): Tally {
    const tally = { labels: { ...labels }, value: 0 };
    this.#samples.push(tally);
    return tally;
  }
}

/** A distribution under fixed labels. */
export class Distribution {
  readonly #bounds: readonly number[];
  /** One per bound and one for what lies above the last. */
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] as number)) index++;
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#sum += value;
  }

  /** Cumulative, as Prometheus has it. */
  samples(name: string, labels: Labels): Sample[] {
    let count = 0;
    const buckets = this.#counts.map((each, index): Sample => {
      count += each;
      return {
        metricName: `${name}_bucket`,
        labels: { le: this.#bounds[index] ?? "+Inf", ...labels },
        value: count,
      };
    });
    const sum = { metricName: `${name}_sum`, labels: { ...labels }, value: this.#sum };
    return [...buckets, sum, { metricName: `${name}_count`, labels: { ...labels }, value: count }];
  }
}

/** A histogram, made of one distribution for each combination of labels. */
export class Distributions {
  readonly #bounds: readonly number[];
  readonly #all: { labels: Labels; distribution: Distribution }[] = [];

  /** `bounds` are upper ones, ascending, in the unit of the name. */
  constructor(identity: MetricIdentity & { bounds: readonly number[] }) {
    this.#bounds = identity.bounds;
    register("histogram", identity, () =>
      this.#all.flatMap(({ labels, distribution }) => distribution.samples(identity.name, labels)),
    );
  }

  /** The distribution of those labels, shown from now on; asked for once. */
  of(labels: Labels): Distribution {
    const distribution = new Distribution(this.#bounds);
    this.#all.push({ labels, distribution });
    return distribution;
  }
}

function register(type: string, { name, help, registry }: MetricIdentity, samples: () => Sample[]): void {
  const metric = {
    name,
    help,
    type,
    aggregator: "sum",
    get: async () => ({ name, help, type, values: samples() }),
  };
  // The registry asks a metric for no more than this; its types know prom-client's own classes only.
  registry.registerMetric(metric as never);
}
