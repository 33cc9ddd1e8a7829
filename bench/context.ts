/** What a benchmark is given, and how it is listed. */
import type { Measurement } from "./measurement.ts";
import type { BenchServers } from "./servers.ts";

/** What the command line asked for. */
export interface BenchOptions {
  /** Smaller rounds: a look, not a figure. */
  isQuick: boolean;
  /** Folder for CPU profiles of our processes during the measured rounds; null for none. */
  profileDir: string | null;
  /** Worker and projector in one process or in two. */
  processes: 1 | 2;
}

/** What a benchmark is given. */
export interface BenchContext extends BenchOptions {
  servers: BenchServers;
  /** Text that stands under the table. */
  note(text: string): void;
}

/** One benchmark. */
export interface Benchmark {
  run(context: BenchContext): Promise<Measurement[]>;
  /** What it measures, in a line of the help. */
  about: string;
  /** Takes so long that it runs only when it is named. */
  isOnRequest?: boolean;
}
