import { describe, expect, test } from "vitest";
import { ENDPOINT_POLICY } from "../../src/domain/endpointPolicy.ts";
import { enableEndpoint } from "../../src/runtime/endpoints/endpointTransitions.ts";
import {
  accepted,
  clock,
  configure,
  fail,
  failed,
  historyOf,
  log,
  newTarget,
  process,
  typesOf,
  until,
  withoutEars,
} from "./endpointProcesses.ts";

describe("a webhook that is to be disabled", () => {
  /** What the options of the webhook say: 410, or three lost in a row. */
  const asking = (asked: unknown[]) => ({
    onDisable: async (target: { id: number }, wish: { reason: string; exhaustedInARow: number }) => {
      asked.push(wish);
      if (wish.reason === "gone" || wish.exhaustedInARow >= 3) {
        const reason = wish.reason as "gone";
        const settings = { enabled: false, disabled_reason: reason };
        return { configVersion: await configure({ kind: "webhook", id: target.id }, settings), reason };
      }
      return null;
    },
  });

  test("is disabled when it is gone, in every process, without five failures", async () => {
    const asked: unknown[] = [];
    const [health, other] = [await process(asking(asked)), await process()];
    const target = newTarget();
    await Promise.all([health.load(1, target), other.load(1, target)]);
    health.report(target, failed({ isFirst: true, httpStatus: 410, error: "HTTP 410" }));
    await Promise.all([until(health, target, "disabled"), until(other, target, "disabled")]);
    expect(other.mayBegin(target)).toBe(false);
    expect(asked).toEqual([{ reason: "gone", exhaustedInARow: 0 }]);
    expect((await historyOf(target)).at(-1)?.data).toMatchObject({
      reason: "gone",
      config_version: 1,
      last_http_status: 410,
    });
    expect(await typesOf(target)).toEqual(["healthy", "disabled"]);
  });

  test("is disabled after so many lost deliveries in a row, of which an acceptance begins a new count", async () => {
    const asked: { exhaustedInARow: number }[] = [];
    const health = await process(asking(asked));
    const target = newTarget();
    await health.load(1, target);
    const lose = async (count: number) => {
      const before = asked.length;
      health.report(target, failed({ isFirst: false, exhausted: true }));
      await expect.poll(() => asked.length).toBe(before + 1);
      clock.ms += ENDPOINT_POLICY.askEveryMs;
      expect(asked.at(-1)?.exhaustedInARow).toBe(count);
    };
    await lose(1);
    await lose(2);
    health.report(target, accepted());
    await lose(1);
    await lose(2);
    await lose(3);
    await until(health, target, "disabled");
    expect((await historyOf(target)).at(-1)?.data).toMatchObject({ reason: "exhausted" });
  });

  test("is not asked about destinations", async () => {
    const asked: unknown[] = [];
    const health = await process(asking(asked));
    const target = newTarget("destination");
    await health.load(1, target);
    fail(health, target, 5, { httpStatus: 410, exhausted: true });
    await until(health, target, "failing");
    expect(asked).toEqual([]);
  });

  test("counts as healthy once its configuration enables it, and an older change does not matter", async () => {
    const [health, late] = [await process(asking([])), await process()];
    const target = newTarget();
    await health.load(1, target);
    await configure(target, { enabled: true });
    health.report(target, failed({ httpStatus: 410 }));
    await until(health, target, "disabled");
    await late.load(1, target);
    expect(late.states().get(`webhook/${target.id}`)).toBe("disabled");
    await configure(target, { enabled: true });
    await Promise.all([until(health, target, "healthy"), until(late, target, "healthy")]);
    expect((await historyOf(target)).at(-1)?.data).toMatchObject({
      fact: "target.enabled",
      config_version: 3,
    });
    expect(await typesOf(target)).toEqual(["healthy", "disabled", "healthy"]);
  });

  test("is found enabled when deliveries wait for it and word of it was lost", async () => {
    const [health, deaf] = [await process(asking([])), await process({ connection: withoutEars() })];
    const target = newTarget();
    await health.load(1, target);
    health.report(target, failed({ httpStatus: 410 }));
    await until(health, target, "disabled");
    await deaf.load(1, target);
    await configure(target, { enabled: true });
    await until(health, target, "healthy");
    expect(deaf.mayBegin(target)).toBe(false);
    expect(await deaf.tryProbe(target)).toBe(false);
    await until(deaf, target, "healthy");
  });

  test("is made healthy by hand where no worker runs, once", async () => {
    const target = newTarget();
    const health = await process(asking([]));
    await health.load(1, target);
    health.report(target, failed({ httpStatus: 410 }));
    await until(health, target, "disabled");
    await health.close();
    const enabled = { workspaceId: 1, id: target.id, configVersion: 2 };
    expect(await enableEndpoint(log, enabled)).toEqual({ wasDisabled: true });
    expect(await enableEndpoint(log, enabled)).toEqual({ wasDisabled: false });
    expect(await enableEndpoint(log, { ...enabled, id: newTarget().id })).toEqual({ wasDisabled: false });
    expect(await typesOf(target)).toEqual(["healthy", "disabled", "healthy"]);
  });

  test("follows at its start what the configuration said while no worker ran", async () => {
    const target = newTarget();
    await configure(target, { enabled: false, disabled_reason: "gone" });
    const first = await process();
    await first.load(1, target);
    await until(first, target, "disabled");
    await first.close();
    await configure(target, { enabled: true });
    const second = await process();
    await second.load(1, target);
    await until(second, target, "healthy");
    expect(await typesOf(target)).toEqual(["healthy", "disabled", "healthy"]);
  });
});
