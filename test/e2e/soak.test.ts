import { beforeAll, describe, expect, test } from "vitest";
import { type Account, drawUp } from "../soak/account.ts";
import type { Evidence } from "../soak/evidence.ts";
import type { History } from "../soak/histories.ts";
import { runSoak } from "../soak/soak.ts";
import { DEAD_TARGET, deliveryId, type SoakOptions } from "../soak/soakPlan.ts";

/** A sixtieth of the whole soak, on a twentieth of its schedule. */
const OPTIONS: SoakOptions = {
  deliveries: 1_500,
  targets: 20,
  seed: 1,
  scheduleMs: [200, 400, 800, 1_600, 3_200],
  timeoutMs: 1_500,
  failing: 0.2,
  hanging: 0.05,
  secondsBetweenKills: 3,
  kills: 3,
  ratePerSecond: 150,
  outstanding: 1_000,
  concurrency: 100,
};

let evidence: Evidence;
let account: Account;
beforeAll(async () => {
  evidence = await runSoak({ options: OPTIONS, signal: AbortSignal.timeout(150_000) });
  account = drawUp(evidence);
});

const wrong = ({ lines }: Account) => lines.filter(({ ok }) => !ok).map(({ what }) => what);

test("I4, I5, I6: nothing is lost, doubled without a crash or early while workers and both servers are killed", () => {
  expect(account.problems).toEqual([]);
  expect(wrong(account)).toEqual([]);
  expect(account.ok).toBe(true);
  expect(evidence.crashes.map(({ kind }) => kind).sort()).toEqual([
    "Postgres",
    "nats-server",
    "worker",
    "worker",
    "worker",
  ]);
});

describe("the account of a soak does not add up", () => {
  /** What is wrong with evidence that somebody has changed. */
  function after(change: (evidence: Evidence & { histories: Map<string, History> }) => void): string[] {
    const copy = structuredClone(evidence) as Parameters<typeof change>[0];
    change(copy);
    const changed = drawUp(copy);
    expect(changed.ok).toBe(false);
    expect(changed.problems.length).toBeGreaterThan(0);
    return wrong(changed);
  }
  const some = (wanted: (history: History, id: string) => boolean): string => {
    for (const [id, history] of evidence.histories) if (wanted(history, id)) return id;
    throw new Error("the soak has no such delivery");
  };
  const plainlyDelivered = () =>
    some(({ ends, attempts }) => ends[0] === "delivered" && attempts.length === 1);
  const retried = () =>
    some(({ attempts }, id) => attempts.length === 2 && evidence.witness.deliveries[id] !== undefined);

  test("when an event is not in the log", () => {
    expect(after(({ histories }) => histories.delete(plainlyDelivered()))).toContain("deliveries in the log");
  });

  test("when a delivery has not ended", () => {
    const found = after(({ histories }) => {
      const history = histories.get(plainlyDelivered());
      history?.ends.pop();
      history?.attempts.pop();
    });
    expect(found).toContain("deliveries that ended, once");
    expect(found).toContain("webhooks whose accepted events are not the expected");
  });

  test("when the log says delivered and no receiver accepted it", () => {
    const found = after(({ witness }) => void delete witness.deliveries[plainlyDelivered()]);
    expect(found).toContain("webhooks whose accepted events are not the expected");
  });

  test("when a receiver got a request again though nothing had crashed", () => {
    const found = after(({ witness, crashes }) => {
      const [first] = crashes;
      const at = (first?.fromMs ?? 0) - 60_000;
      const id = plainlyDelivered();
      witness.deliveries[id] = [
        [1, at - 1],
        [1, at],
      ];
      witness.requests += 1;
    });
    expect(found).toContain("repeats that no crash explains");
  });

  test("when a retry began before it was due", () => {
    const found = after(({ histories }) => {
      const [first, second] = histories.get(retried())?.attempts ?? [];
      if (first !== undefined && second !== undefined) second.startedAt = (first.dueAt ?? 0) - 1;
    });
    expect(found).toEqual(["retries that began before they were due"]);
  });

  test("when a retry came too soon by the receiver's clock alone", () => {
    const id = retried();
    const found = after(({ witness }) => {
      const times = witness.deliveries[id] ?? [];
      const first = times.find(([attempt]) => attempt === 1)?.[1] ?? 0;
      for (const each of times) if (each[0] === 2) each[1] = first + OPTIONS.scheduleMs[0]! - 1;
    });
    expect(found).toContain("retries that began before they were due");
  });

  test("when a dead delivery had five attempts", () => {
    const dead = deliveryId({ target: DEAD_TARGET, event: 1 });
    const found = after(({ histories }) => void histories.get(dead)?.attempts.pop());
    expect(found).toContain("dead deliveries without six attempts on schedule");
  });

  test("when an accepted answer is written down as a failure, or the other way round", () => {
    const found = after(({ histories }) => {
      const [attempt] = histories.get(plainlyDelivered())?.attempts ?? [];
      if (attempt !== undefined) attempt.httpStatus = 500;
    });
    expect(found).toContain("attempts in the log that went against their script");
  });

  test("when the read model says something else than the log", () => {
    const found = after(
      ({ readModel }) => void (readModel as Map<string, string>).set(plainlyDelivered(), "dead"),
    );
    expect(found).toEqual(["deliveries whose read model is not the log's"]);
  });

  test("when a process ended by itself", () => {
    const found = after(({ surprises }) => void (surprises as string[]).push("it fell over"));
    expect(found).toEqual(["processes that ended by themselves"]);
  });
});
