/** The Egret processes of a soak: started, killed with -9, and replaced. */
import { type ChildProcess, fork } from "node:child_process";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { EgretSettings } from "../../src/main.ts";

/** A stretch of time in which something was down; ms since the epoch. */
export interface Crash {
  kind: "worker" | "nats-server" | "Postgres";
  fromMs: number;
  untilMs: number;
}

interface Place {
  child: ChildProcess | null;
  isReady: boolean;
  /** The end of this process is ours. */
  isKilled: boolean;
}

const OUTPUT_BYTES = 8_192;
const PAUSE_BEFORE_RESTART_MS = 300;

/** So many processes, each replaced whenever it ends, until they are closed. */
export class EgretProcesses {
  /** One entry for each kill. */
  readonly kills: Crash[] = [];
  /** What processes wrote that ended by themselves after they had been ready, or badly when told to: none should. */
  readonly surprises: string[] = [];
  /** The end of what was written by the process that ended last. */
  lastOutput = "";
  readonly #settings: string;
  readonly #places: Place[];
  readonly #watching: Promise<void>[];
  #isClosing = false;

  constructor(settings: Omit<EgretSettings, "logger">, count: number) {
    this.#settings = JSON.stringify(settings);
    this.#places = Array.from({ length: count }, () => ({ child: null, isReady: false, isKilled: false }));
    this.#watching = this.#places.map((place) => this.#keep(place));
  }

  /** How many are at work now. */
  get ready(): number {
    return this.#places.filter(({ isReady }) => isReady).length;
  }

  /** kill -9 of one that is at work; false when that one is not at work now. The next is started at once. */
  async kill9(index: number): Promise<boolean> {
    const place = this.#places[index];
    const { child } = place ?? {};
    if (place === undefined || child === null || child === undefined || !place.isReady) return false;
    place.isKilled = true;
    const fromMs = Date.now();
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
    this.kills.push({ kind: "worker", fromMs, untilMs: Date.now() });
    return true;
  }

  /** Ends them as a shutdown does, and those that do not end with -9. */
  async close(patienceMs = 30_000): Promise<void> {
    this.#isClosing = true;
    for (const { child } of this.#places) child?.kill("SIGTERM");
    const giveUp = AbortSignal.timeout(patienceMs);
    giveUp.addEventListener("abort", () => {
      for (const { child } of this.#places) child?.kill("SIGKILL");
    });
    await Promise.all(this.#watching);
  }

  async #keep(place: Place): Promise<void> {
    while (!this.#isClosing) {
      const surprise = await this.#runOne(place);
      if (surprise !== null) this.surprises.push(surprise);
      if (this.#isClosing) return;
      // One that could not start, since a server is away, tries again as a supervisor would have it.
      if (!place.isKilled) await wait(PAUSE_BEFORE_RESTART_MS);
    }
  }

  /** Runs one process to its end: what it wrote when the end was not as we wanted it, else null. */
  async #runOne(place: Place): Promise<string | null> {
    const child = fork(path.join(import.meta.dirname, "egretProgram.ts"), {
      env: { ...process.env, EGRET_SOAK_SETTINGS: this.#settings },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    Object.assign(place, { child, isReady: false, isKilled: false });
    let output = "";
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-OUTPUT_BYTES);
    };
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
    child.once("message", () => {
      place.isReady = true;
    });
    const code = await new Promise<number | null>((resolve) => child.once("exit", resolve));
    const wasReady = place.isReady;
    place.isReady = false;
    place.child = null;
    this.lastOutput = output;
    if (place.isKilled || !wasReady || (this.#isClosing && code === 0)) return null;
    return `a process ended ${this.#isClosing ? "its shutdown" : "by itself"} with ${code}:\n${output}`;
  }
}
