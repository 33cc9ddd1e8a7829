import { beforeEach, describe, expect, test } from "vitest";
import {
  DeliveryLines,
  type Line,
  type Place,
  RELIEVE_EVERY_MS,
  type Verdict,
} from "../../src/runtime/deliveries/deliveryLines.ts";

let nowMs: number;
let lines: DeliveryLines;
beforeEach(() => {
  nowMs = 1_000;
  places.length = 0;
  lines = new DeliveryLines({ places: 4, roomy: 10, now: () => nowMs });
});

function line(name: string, limit: number): Line {
  const made = lines.of(name);
  made.pace.keepWithin({ fewest: limit, most: limit });
  return made;
}

const places: Place[] = [];
/** Ends the oldest attempt at a target. */
function leave(of: Line): void {
  const [place] = places.splice(
    places.findIndex(({ line: at }) => at === of),
    1,
  );
  lines.leave(place as Place);
}

/** Enters and notes under its name when and how it was let go. */
function enter(of: Line, name: string, heard: string[], dueAtMs: number | null = null): void {
  const note = (verdict: Verdict) => {
    if (typeof verdict === "object") places.push(verdict);
    heard.push(typeof verdict === "object" ? name : `${name} ${verdict}`);
  };
  const verdict = lines.enter(of, { dueAtMs, isMovable: true });
  if (verdict instanceof Promise) void verdict.then(note);
  else note(verdict);
}
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("a place", () => {
  test("is had at once while target and process have room", () => {
    const one = line("a", 2);
    expect(lines.enter(one, { dueAtMs: null, isMovable: true })).toMatchObject({ line: one });
    expect(lines.enter(one, { dueAtMs: null, isMovable: true })).toMatchObject({ line: one });
    expect(lines.enter(one, { dueAtMs: null, isMovable: true })).toBeInstanceOf(Promise);
    expect(one.inFlight).toBe(2);
  });

  test("goes round the targets, however long one line is", async () => {
    const [long, short] = [line("long", 4), line("short", 4)];
    const heard: string[] = [];
    for (const name of ["l1", "l2", "l3", "l4", "l5", "l6", "l7"]) enter(long, name, heard);
    for (const name of ["s1", "s2"]) enter(short, name, heard);
    for (let place = 0; place < 4; place += 1) leave(long);
    await settled();
    expect(heard).toEqual(["l1", "l2", "l3", "l4", "s1", "l5", "s2", "l6"]);
  });

  test("is never more than the target's bound", async () => {
    const one = line("a", 1);
    const heard: string[] = [];
    for (const name of ["1", "2", "3"]) enter(one, name, heard);
    await settled();
    expect(heard).toEqual(["1"]);
    leave(one);
    await settled();
    expect(heard).toEqual(["1", "2"]);
  });
});

describe("a retry", () => {
  test("that is on time goes before first attempts, one that is late after them", async () => {
    const one = line("a", 1);
    const heard: string[] = [];
    enter(one, "busy", heard);
    enter(one, "first", heard);
    enter(one, "on time", heard, nowMs - 10);
    leave(one);
    await settled();
    expect(heard).toEqual(["busy", "on time"]);
    enter(one, "late", heard, nowMs - 2_000);
    leave(one);
    await settled();
    expect(heard).toEqual(["busy", "on time", "first"]);
  });

  test("that is late is not starved by first attempts without end", async () => {
    const one = line("a", 1);
    const heard: string[] = [];
    enter(one, "busy", heard);
    enter(one, "late", heard, nowMs - 2_000);
    for (let number = 1; number <= 6; number += 1) enter(one, `first ${number}`, heard);
    for (let number = 1; number <= 4; number += 1) {
      leave(one);
      await settled();
    }
    expect(heard).toContain("late");
  });
});

describe("when room is short", () => {
  test("the line of a target that answers nothing moves, but for its first few; a quick one stays", async () => {
    const [hanging, quick] = [line("hanging", 2), line("quick", 1)];
    const heard: string[] = [];
    for (let number = 1; number <= 9; number += 1) enter(hanging, `h${number}`, heard);
    nowMs += 5_000;
    lines.relieve();
    nowMs += RELIEVE_EVERY_MS;
    enter(quick, "q1", heard);
    enter(quick, "q2", heard);
    leave(quick);
    enter(quick, "q3", heard);
    for (const name of ["q4", "q5"]) enter(quick, name, heard);
    lines.relieve();
    await settled();
    expect(heard.filter((text) => text.endsWith("move"))).toEqual(
      ["h9", "h8", "h7", "h6", "h5"].map((h) => `${h} move`),
    );
    expect(hanging.isDiverted).toBe(true);
    expect(quick.isDiverted).toBe(false);
    expect(hanging.length).toBe(2);
  });

  test("nobody moves while all places are in use: then the process is what they wait for", async () => {
    const one = line("a", 4);
    const heard: string[] = [];
    for (let number = 1; number <= 20; number += 1) enter(one, String(number), heard);
    nowMs += 900;
    lines.relieve();
    await settled();
    expect(heard).toEqual(["1", "2", "3", "4"]);
  });
});

test("attempts that wait long for their target give their places to others, and keep their target's bound", async () => {
  const [hanging, quick] = [line("hanging", 4), line("quick", 4)];
  const heard: string[] = [];
  for (let number = 1; number <= 5; number += 1) enter(hanging, `h${number}`, heard);
  for (let number = 1; number <= 5; number += 1) enter(quick, `q${number}`, heard);
  await settled();
  expect(heard).toEqual(["h1", "h2", "h3", "h4"]);
  nowMs += 1_500;
  lines.relieve();
  await settled();
  expect(heard.slice(4)).toEqual(["q1", "q2", "q3", "q4"]);
  // A place that was given back is not free a second time when its attempt ends.
  leave(hanging);
  await settled();
  expect(heard.slice(8)).toEqual([]);
  leave(quick);
  await settled();
  expect(heard.slice(8)).toEqual(["h5"]);
});

test("closing sends away who waits and who comes", async () => {
  const one = line("a", 1);
  const heard: string[] = [];
  for (const name of ["1", "2"]) enter(one, name, heard);
  lines.close();
  enter(one, "3", heard);
  await settled();
  expect(heard).toEqual(["1", "3 closed", "2 closed"]);
});
