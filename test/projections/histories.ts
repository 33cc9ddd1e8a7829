/** Whole logs of both streams for tests, shaped by drawn numbers and mixed as concurrent work would mix them. */
import type { AlertFact } from "../../machines/alert.ts";
import type { EndpointFact } from "../../machines/endpoint.ts";
import type { AnyEvent } from "../../src/domain/event.ts";
import { alertHistory } from "../support/alertHistory.ts";
import { endpointHistory } from "../support/endpointHistory.ts";
import { configHistory, deliveryHistory, EPOCH_MS, refusal, runHistory } from "../support/events.ts";
import { trialHistory } from "../support/trialHistory.ts";

/** Draws the next number that shapes a history. */
export type Draw = () => number;

const ENDS = ["delivered", "exhausted", "refused", "dropped", "open"] as const;
const OUTCOMES = ["ok", "emergency", "canceled"] as const;

/** Two outages, the second of which ends in the webhook's being disabled and enabled. */
const OUTAGES: readonly EndpointFact[] = [
  { type: "failures.repeated" },
  { type: "failures.lasted" },
  { type: "probe.begun", probe: 1 },
  { type: "probe.failed", probe: 1 },
  { type: "probe.begun", probe: 2 },
  { type: "target.accepted" },
  { type: "failures.repeated" },
  { type: "target.disabled", configVersion: 3 },
  { type: "target.enabled", configVersion: 4 },
];

/** Two episodes, the second of which nobody watches to its end, between moments. */
const ALERTS: readonly AlertFact["type"][] = [
  "moment.came",
  "limit.violated",
  "limit.violated",
  "limit.kept",
  "moment.came",
  "limit.violated",
  "watch.ended",
];

/** Events of some runs, configured objects, refusals and deliveries; aggregate after aggregate. */
export function historyOfBothStreams(draw: Draw = counter()): { runs: AnyEvent[]; deliveries: AnyEvent[] } {
  const pick = <T>(choices: readonly T[]) => choices[draw() % choices.length]!;
  const startMs = () => EPOCH_MS + (draw() % 1000) * 100;
  const runs = [
    ...[88, 89].flatMap((objectId) =>
      configHistory({ kind: "sync", objectId, later: pick([[], ["updated"]]) }),
    ),
    ...[4, 5].flatMap((objectId) =>
      configHistory({ kind: "webhook", objectId, later: pick([[], ["deleted"]]) }),
    ),
    ...configHistory({ kind: "source", objectId: 1 }),
    refusal("late", startMs()),
    ...[4, 5].flatMap((targetId) => {
      const facts = OUTAGES.slice(0, draw() % (OUTAGES.length + 1));
      return endpointHistory({
        targetKind: pick(["webhook", "destination"]),
        targetId,
        startMs: startMs(),
        facts,
      });
    }),
    ...[31, 32].flatMap((alertId) => {
      const facts = ALERTS.slice(0, draw() % (ALERTS.length + 1));
      return alertHistory({ alertId, startMs: startMs(), facts });
    }),
    ...[5, 6].flatMap((runId) =>
      trialHistory({
        runId,
        syncId: pick([88, 89]),
        kind: pick(["dry", "test"]),
        end: pick(["open", "completed", "failed", "canceled"]),
        startMs: startMs(),
      }),
    ),
    ...[1, 2, 3, 4].flatMap((runId) =>
      runHistory({
        runId,
        syncId: pick([88, 89]),
        outcome: pick(OUTCOMES),
        phases: draw() % 7,
        startMs: startMs(),
      }),
    ),
  ];
  const deliveries = Array.from({ length: 8 }, (_, index) => {
    const again = pick([undefined, undefined, "open", "delivered"] as const);
    const shape = {
      runId: 1 + (index % 4),
      retries: draw() % 4,
      end: pick(ENDS),
      ...(again === undefined ? {} : { again }),
      startMs: startMs(),
    };
    return index % 2 === 0
      ? deliveryHistory({ deliveryId: `${shape.runId}-${index}`, ...shape })
      : deliveryHistory({
          deliveryId: `d${index}`,
          targetKind: "webhook",
          targetId: pick([4, 5, 6]),
          ...shape,
        });
  }).flat();
  return { runs, deliveries };
}

/** The same events in an order that concurrent writers could have made: each aggregate's own order stays. */
export function interleave(events: readonly AnyEvent[], draw: Draw): AnyEvent[] {
  const queues = [...Map.groupBy(events, ({ subject }) => subject).values()];
  const mixed: AnyEvent[] = [];
  while (queues.length > 0) {
    const at = draw() % queues.length;
    mixed.push(queues[at]!.shift()!);
    if (queues[at]!.length === 0) queues.splice(at, 1);
  }
  return mixed;
}

function counter(): Draw {
  let next = 0;
  return () => next++;
}
