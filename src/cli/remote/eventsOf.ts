/** Events of a history, from the API's pages of it. */
import { each, type ListAnswer, type Schemas } from "../../client/client.ts";
import type { AnyEvent } from "../../domain/event.ts";

type ToldEvent = Schemas["SyncRunEvent"] | Schemas["AlertEvent"];

/** All of them, oldest first. */
export async function eventsOf<I extends { path: { id: number } }, E extends ToldEvent>(
  list: (input: I) => Promise<ListAnswer<E>>,
  input: I,
): Promise<AnyEvent[]> {
  const events: AnyEvent[] = [];
  // What came as JSON has no undefined in it.
  for await (const event of each(list, input)) events.push(event as AnyEvent);
  return events;
}
