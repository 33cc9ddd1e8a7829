/** Histories as released versions wrote them must replay for ever: what is recorded here is never made again. */
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type {
  Aggregate,
  AlertAggregate,
  DeliveryAggregate,
  RunAggregate,
} from "../../src/domain/aggregate.ts";
import type { AnyEvent, StoredEvent } from "../../src/domain/event.ts";
import { type Actor, type Behaviour, type Fact, hasEnded, replay } from "../../src/runtime/actor.ts";
import { alertBehaviour, replayAlert } from "../../src/runtime/alerts/alertActor.ts";
import { deliveryBehaviour, deliveryContext } from "../../src/runtime/deliveries/deliveryActor.ts";
import { runBehaviour } from "../../src/runtime/runs/runActor.ts";
import { trialBehaviour } from "../../src/runtime/trials/trialActor.ts";
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
const delivery: DeliveryAggregate = {
  kind: "delivery",
  workspaceId: 1,
  targetKind: "webhook",
  targetId: 14,
  deliveryId: "7-1-14",
};
const run: RunAggregate = { kind: "run", workspaceId: 1, syncId: 1, runId: 1 };
const alert: AlertAggregate = { kind: "alert", workspaceId: 12, syncId: 88, alertId: 31 };
/** By the name of the statechart: how it is replayed, and the states in which such an actor has ended. */
const actors: Record<
  string,
  {
    behaviour: Behaviour<Fact>;
    aggregate: Aggregate;
    ended: RegExp;
    /** Of an actor that has a state before its first event. */
    fold?: (history: readonly StoredEvent[]) => Actor;
  }
> = {
  alert: {
    behaviour: alertBehaviour,
    aggregate: alert,
    ended: /^$/,
    fold: (history) => replayAlert(alert, history),
  },
  delivery: { behaviour: deliveryBehaviour, aggregate: delivery, ended: /^(delivered|dead)$/ },
  trialRun: {
    behaviour: trialBehaviour,
    aggregate: { ...run, kind: "trial" },
    ended: /^(completed|failed)$/,
  },
  syncRun: { behaviour: runBehaviour, aggregate: run, ended: /^(completed\.(success|failed)|skipped)$/ },
};

describe("histories of released versions", () => {
  test.each(Object.entries(actors))(
    "are recorded for each version of the statechart %s up to the present one",
    (name, { behaviour }) => {
      const present = Number(behaviour.name.split("@")[1]);
      const wanted = Array.from({ length: present }, (_, index) => `${name}@${index + 1}`);
      const versions = recorded
        .map(({ version }) => version)
        .filter((version) => version.startsWith(`${name}@`));
      expect(versions.sort()).toEqual(wanted);
    },
  );

  test.each(cases)("I3: $version, $name: gives every state that was recorded", ({ version, events }) => {
    const { behaviour, aggregate, ended, fold } = actors[version.split("@")[0] ?? ""]!;
    const folded = fold ?? ((history) => replay(behaviour, aggregate, history));
    expect(new Set(events.map(({ machine }) => machine))).toEqual(new Set([version]));
    for (let length = 1; length <= events.length; length++) {
      const history = stored(events.slice(0, length));
      const { snapshot, head } = folded(history);
      expect(head.version).toBe(length);
      expect(hasEnded(snapshot)).toBe(ended.test(events[length - 1]?.state ?? ""));
    }
    const last = events.at(-1);
    const { snapshot } = folded(stored(events));
    if (last?.type === "delivery.dead") expect(deliveryContext(snapshot).deathReason).toBe(last.data.reason);
  });
});
