/** Who goes next: one line per target, places over all of them, and word to those who would wait too long. */
import { Beginnings } from "./beginnings.ts";
import { Pace } from "./pace.ts";

/** A place is yours until you leave it. `move`: wait elsewhere, the target is too slow. `closed`: the process ends. */
export type Verdict = Place | "move" | "closed";

/** An attempt under way. */
export interface Place {
  line: Line;
  beganMs: number;
  /** It has waited for its target so long that somebody else got the place. */
  isGivenBack: boolean;
}

/** A first attempt, or a retry with its due time, ms. `isMovable` is false for who has no other place to wait. */
export interface Turn {
  dueAtMs: number | null;
  isMovable: boolean;
}

interface Waiter extends Turn {
  resolve(verdict: Verdict): void;
}

/** A retry that waited longer than this for its target yields to first attempts, ms (I6: later is late anyway). */
const ON_TIME_MS = 500;
/** One pick in so many is a late retry's, or first attempts without end would starve it. */
const LATE_EVERY = 4;
/** How often it has to be looked whether room is short, ms. */
export const RELIEVE_EVERY_MS = 100;
/** A line that takes longer than this to work off is moved elsewhere when room is short, ms. */
const LONGEST_LINE_MS = 1_000;
/** A target that answers sooner than this is not what its line waits for: this process has more to do than it can, ms. */
const SLOW_MS = 250;
/** An attempt that waits longer than this for its target costs nothing but memory, and gives its place back, ms. */
const PATIENCE_MS = 1_000;
/** So many places more than there are can be given back: what bounds that memory (I10). */
const MOST_GIVEN_BACK = 20;
/** Weight of the newest duration in a line's average. */
const NEWEST = 0.2;
/** So much the quickest answer is forgotten with each slower one: after some twenty, what was quick once is not. */
const FORGETTING = 1.25;
/** When `relieve` comes later than this after its time, this process is what everybody waits for, ms. */
const OWN_DELAY_MS = 100;

/** Those who wait for one target, and how quick it has been. */
export class Line {
  readonly pace = new Pace();
  readonly beginnings = new Beginnings();
  readonly firsts: Waiter[] = [];
  readonly retries: Waiter[] = [];
  /** What comes now has to wait elsewhere, behind what was moved there before. */
  isDiverted = false;
  /** The operator paused the target. */
  isPaused = false;
  inFlight = 0;
  isInRing = false;
  #picks = 0;
  #averageMs = 0;
  #quickestMs = 0;
  #lastEndMs = 0;

  get length(): number {
    return this.firsts.length + this.retries.length;
  }

  get hasRoom(): boolean {
    return this.inFlight < this.pace.limit;
  }

  began(nowMs: number): void {
    if (this.inFlight === 0) this.#lastEndMs = nowMs;
    this.inFlight += 1;
  }

  ended(durationMs: number, nowMs: number): void {
    this.inFlight -= 1;
    this.#lastEndMs = nowMs;
    this.#averageMs += (durationMs - this.#averageMs) * (this.#averageMs === 0 ? 1 : NEWEST);
    // A busy process makes all answers look slow, but not the quickest of them.
    this.#quickestMs = Math.min(durationMs, this.#quickestMs * FORGETTING + 1);
  }

  /** The target is slow, and the last of the line would wait long: one that answers nothing counts by its silence. */
  isStuck(nowMs: number): boolean {
    const silentMs = nowMs - this.#lastEndMs;
    const eachMs = Math.max(this.#averageMs, silentMs);
    const isSlow = Math.max(this.#quickestMs, silentMs) >= SLOW_MS;
    return !this.hasRoom && isSlow && (this.length * eachMs) / this.pace.limit >= LONGEST_LINE_MS;
  }

  /** Retries on time first, then first attempts, then late retries. */
  next(nowMs: number): Waiter | undefined {
    const retry = this.retries[0];
    if (retry === undefined) return this.firsts.shift();
    this.#picks += 1;
    const isLate = nowMs - (retry.dueAtMs ?? nowMs) > ON_TIME_MS;
    if (isLate && this.firsts.length > 0 && this.#picks % LATE_EVERY !== 0) return this.firsts.shift();
    return this.retries.shift();
  }

  /** Takes out who may move, all but the first few of each kind, newest first. */
  takeMovable(): Waiter[] {
    const taken: Waiter[] = [];
    for (const line of [this.firsts, this.retries]) {
      for (let place = line.length - 1; place >= this.pace.limit; place -= 1) {
        if (line[place]?.isMovable === true) taken.push(...line.splice(place, 1));
      }
    }
    return taken;
  }
}

export interface DeliveryLinesOptions {
  /** Attempts under way at once over all targets. */
  places: number;
  /** So many may wait before slow lines are moved elsewhere. */
  roomy: number;
  now?: () => number;
}

/** The lines of one process. */
export class DeliveryLines {
  readonly #now: () => number;
  readonly #roomy: number;
  readonly #lines = new Map<string, Line>();
  /** Lines that have someone waiting and room at their target, in turn. */
  readonly #ring: Line[] = [];
  readonly #places = new Set<Place>();
  readonly #mostPlaces: number;
  #free: number;
  #relievedMs = 0;
  #waiting = 0;
  #isClosed = false;

  constructor({ places, roomy, now = performance.now.bind(performance) }: DeliveryLinesOptions) {
    this.#free = places;
    this.#mostPlaces = places * MOST_GIVEN_BACK;
    this.#roomy = roomy;
    this.#now = now;
  }

  /** The line of a target, by a name of it. */
  of(name: string): Line {
    let line = this.#lines.get(name);
    if (line === undefined) this.#lines.set(name, (line = new Line()));
    return line;
  }

  /** Nobody has a place and nobody waits for one. */
  get isIdle(): boolean {
    return this.#places.size === 0 && this.#waiting === 0;
  }

  /** Gives a place at once if there is one, else a promise of the verdict. A place has to be left. */
  enter(line: Line, turn: Turn): Verdict | Promise<Verdict> {
    if (this.#isClosed) return "closed";
    if (this.#free > 0 && line.hasRoom && line.length === 0) return this.#occupy(line, this.#now());
    const verdict = new Promise<Verdict>((resolve) => {
      (turn.dueAtMs === null ? line.firsts : line.retries).push({ ...turn, resolve });
    });
    this.#waiting += 1;
    this.#join(line);
    return verdict;
  }

  leave(place: Place): void {
    if (!place.isGivenBack) this.#free += 1;
    this.#places.delete(place);
    const now = this.#now();
    place.line.ended(now - place.beganMs, now);
    this.#join(place.line);
    this.#dispatch();
  }

  /** Says `closed` to everyone who waits or comes later; who has a place keeps it until they leave. */
  close(): void {
    this.#isClosed = true;
    for (const line of this.#lines.values()) {
      for (const { resolve } of [...line.firsts.splice(0), ...line.retries.splice(0)]) resolve("closed");
    }
    this.#waiting = 0;
  }

  #occupy(line: Line, nowMs: number): Place {
    const place = { line, beganMs: nowMs, isGivenBack: false };
    this.#free -= 1;
    this.#places.add(place);
    line.began(nowMs);
    return place;
  }

  #join(line: Line): void {
    if (line.isInRing || line.length === 0 || !line.hasRoom) return;
    line.isInRing = true;
    this.#ring.push(line);
  }

  #dispatch(): void {
    while (this.#free > 0) {
      const line = this.#ring.shift();
      if (line === undefined) return;
      line.isInRing = false;
      const now = this.#now();
      const waiter = line.hasRoom ? line.next(now) : undefined;
      if (waiter === undefined) continue;
      this.#waiting -= 1;
      const place = this.#occupy(line, now);
      this.#join(line);
      waiter.resolve(place);
    }
  }

  /**
   * To be called every RELIEVE_EVERY_MS. Attempts that wait long give their place back, so that many hanging targets together
   * do not stop the rest. When room is short, the lines whose target is what they wait for go elsewhere; while all
   * places are in use nobody moves: then this process is what they wait for.
   */
  relieve(): void {
    const now = this.#now();
    // Oldest first: the first that is young ends the search.
    for (const place of this.#places) {
      if (now - place.beganMs < PATIENCE_MS || this.#places.size >= this.#mostPlaces) break;
      if (place.isGivenBack) continue;
      place.isGivenBack = true;
      this.#free += 1;
    }
    this.#dispatch();
    const ownDelayMs = now - this.#relievedMs - RELIEVE_EVERY_MS;
    this.#relievedMs = now;
    if (this.#waiting < this.#roomy || this.#free === 0 || ownDelayMs > OWN_DELAY_MS) return;
    for (const line of this.#lines.values()) {
      // Who only fails has no claim to most of the room, however quickly it fails.
      const isHog = line.beginnings.isFailing && line.length >= this.#roomy / 2;
      if (!isHog && !line.isStuck(now)) continue;
      line.isDiverted = true;
      const moved = line.takeMovable();
      this.#waiting -= moved.length;
      for (const { resolve } of moved) resolve("move");
    }
  }
}
