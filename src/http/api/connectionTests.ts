/** Connection tests of destinations that the API makes: on request, and after each change of their credentials. */
import { setTimeout as delay } from "node:timers/promises";
import { type TestedDestination, testDestinations } from "../../runtime/trials/connectionTest.ts";
import type { ApiDesk } from "./apiDesk.ts";

/** An answer waits so long for a test after a change; one that takes longer goes on by itself, ms. */
const WAITED_MS = 2_000;

/** Tests a destination and keeps the outcome; null when it was deleted meanwhile. */
export async function testNow(
  { db, box, outbound, version }: ApiDesk,
  id: number,
): Promise<TestedDestination | null> {
  const [tested] = await testDestinations({ db, box, version }, [id], outbound);
  return tested ?? null;
}

/** Begins a test, and waits for it a little: its outcome stands beside the destination once it is there. */
export async function testSoon(desk: ApiDesk, id: number): Promise<void> {
  const testing = testNow(desk, id).then(
    () => undefined,
    (err: unknown) => desk.logger.warn({ err, destination: id }, "destination.test_failed"),
  );
  const stop = new AbortController();
  const waiting = delay(WAITED_MS, undefined, { signal: stop.signal, ref: false }).catch(() => undefined);
  await Promise.race([testing, waiting]);
  stop.abort();
}
