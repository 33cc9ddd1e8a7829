/** The oracle of fault tests: what a receiver holds that does as it is told, and whether it was told as promised. */
import { expect } from "vitest";
import type { AnyEvent } from "../../src/domain/event.ts";
import type { ReceivedRequest } from "./receiver.ts";

/** A record as it came, by field. */
export type Row = Record<string, unknown> & { unique_id: unknown };

interface Body {
  operation: "changed" | "deleted";
  data: Row[];
}

/** A wrapped body. */
export function bodyOf({ body }: Pick<ReceivedRequest, "body">): Body {
  return JSON.parse(body.toString()) as Body;
}

/** What the receiver holds: the last record of each key that was not deleted after it. */
export function heldRows(requests: readonly ReceivedRequest[]): Map<string, Row> {
  const rows = new Map<string, Row>();
  for (const { operation, data } of requests.map(bodyOf)) {
    for (const row of data) {
      if (operation === "changed") rows.set(String(row.unique_id), row);
      else rows.delete(String(row.unique_id));
    }
  }
  return rows;
}

/** I5: what is sent again carries the same key and the same bytes; returns how often something was sent again. */
export function expectSameRepeats(requests: readonly ReceivedRequest[]): number {
  const byKey = Map.groupBy(requests, ({ headers }) => String(headers["idempotency-key"]));
  for (const [key, sent] of byKey) {
    expect(key).toMatch(/^\d+-\d+(\.[12])*$/);
    for (const { body } of sent) expect(body.equals(sent[0]?.body ?? Buffer.alloc(0))).toBe(true);
  }
  return requests.length - byKey.size;
}

const ORDER = [
  "sync.triggered",
  "sync.started",
  "sync.checked",
  "sync.snapshotted",
  "sync.planned",
  "sync.loaded",
  "sync.completed",
];

/** I2, I8: gapless versions, each event once and in its order; a run that ends badly may leave phases out. */
export function expectLifecycle(events: readonly AnyEvent[], end: "sync.success" | "sync.failed"): void {
  expect(events.map(({ version }) => version)).toEqual(events.map((_, index) => index + 1));
  const types = events.map(({ type }) => type);
  if (end === "sync.success") expect(types).toEqual([...ORDER, end]);
  else {
    expect(types.slice(-2)).toEqual(["sync.completed", end]);
    const before = types.slice(0, -2).filter((type) => type !== "sync.cancel_requested");
    expect(before).toEqual(ORDER.slice(0, before.length));
  }
}
