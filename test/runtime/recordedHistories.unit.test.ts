/** Histories as released versions wrote them must replay for ever: what is recorded here is never made again. */
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { DeliveryAggregate } from "../../src/domain/aggregate.ts";
import type { AnyEvent } from "../../src/domain/event.ts";
import { hasEnded, replay } from "../../src/runtime/actor.ts";
import { deliveryBehaviour, deliveryContext } from "../../src/runtime/deliveryActor.ts";
import { stored } from "../support/events.ts";

const folder = path.join(import.meta.dirname, "recorded");
const files = await readdir(folder);
const recorded = await Promise.all(
  files.map(async (file) => {
    const text = await readFile(path.join(folder, file), "utf8");
    return {
      version: path.basename(file, ".json"),
      histories: JSON.parse(text) as Record<string, AnyEvent[]>,
    };
  }),
);
const cases = recorded.flatMap(({ version, histories }) =>
  Object.entries(histories).map(([name, events]) => ({ version, name, events })),
);
const aggregate: DeliveryAggregate = {
  kind: "delivery",
  workspaceId: 1,
  targetKind: "webhook",
  targetId: 14,
  deliveryId: "7-1-14",
};

describe("histories of released versions", () => {
  test("are recorded for each version of the delivery's statechart up to the present one", () => {
    const present = Number(deliveryBehaviour.name.split("@")[1]);
    const wanted = Array.from({ length: present }, (_, index) => `delivery@${index + 1}`);
    expect(recorded.map(({ version }) => version).sort()).toEqual(wanted);
  });

  test.each(cases)("I3: $version, $name: gives every state that was recorded", ({ version, events }) => {
    expect(new Set(events.map(({ machine }) => machine))).toEqual(new Set([version]));
    for (let length = 1; length <= events.length; length++) {
      const history = stored(events.slice(0, length));
      const { snapshot, head } = replay(deliveryBehaviour, aggregate, history);
      expect(head.version).toBe(length);
      expect(hasEnded(snapshot)).toBe(/delivered|dead/.test(events[length - 1]?.state ?? ""));
    }
    const last = events.at(-1);
    const { snapshot } = replay(deliveryBehaviour, aggregate, stored(events));
    if (last?.type === "delivery.dead") expect(deliveryContext(snapshot).deathReason).toBe(last.data.reason);
  });
});
