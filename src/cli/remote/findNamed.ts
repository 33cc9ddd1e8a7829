/** Finds objects of a server by what people type, with messages that help when there are none. */
import { type Client, each, type Schemas } from "../../client/client.ts";
import { suggestion } from "../../configuration/nearest.ts";
import { NotFound } from "../../domain/errors.ts";
import type { Wanted } from "../desks.ts";
import { checkWorkspace, orNull } from "./openRemote.ts";

const isId = (text: string): boolean => /^[1-9]\d{0,14}$/.test(text);

/**
 * A sync by its name, its label or its id.
 * @throws NotFound naming the nearest.
 */
export async function findSync(client: Client, wanted: Wanted): Promise<Schemas["Sync"]> {
  return findOne(client, wanted, {
    kind: "sync",
    get: (id) => client.getSync({ path: { id } }),
    all: () => each(client.listSyncs),
    namesOf: ({ resource_identifier: name, label }) => (label === null ? [name] : [name, label]),
  });
}

/**
 * A webhook by name or id.
 * @throws NotFound naming the nearest.
 */
export async function findWebhook(client: Client, wanted: Wanted): Promise<Schemas["Webhook"]> {
  return findOne(client, wanted, {
    kind: "webhook",
    get: (id) => client.getWebhook({ path: { id } }),
    all: () => each(client.listWebhooks),
    namesOf: ({ name }) => [name],
  });
}

/**
 * A destination by name or id.
 * @throws NotFound naming the nearest.
 */
export async function findDestination(client: Client, wanted: Wanted): Promise<Schemas["Destination"]> {
  return findOne(client, wanted, {
    kind: "destination",
    get: (id) => client.getDestination({ path: { id } }),
    all: () => each(client.listDestinations),
    namesOf: ({ name }) => [name],
  });
}

interface Kind<T> {
  kind: string;
  get(id: number): Promise<{ data: T }>;
  all(): AsyncIterable<T>;
  /** The first one is what it is called. */
  namesOf(object: T): string[];
}

async function findOne<T>(
  client: Client,
  { name, workspace }: Wanted,
  { kind, get, all, namesOf }: Kind<T>,
): Promise<T> {
  await checkWorkspace(client, workspace);
  const byId = isId(name) ? await orNull(get(Number(name))) : null;
  if (byId !== null) return byId.data;
  const known: string[] = [];
  for await (const object of all()) {
    const names = namesOf(object);
    if (names.includes(name)) return object;
    known.push(...names.slice(0, 1));
  }
  const hint = known.length === 0 ? ` It has no ${kind}s.` : suggestion(name, known);
  const { data: own } = await client.getOwnWorkspace();
  throw new NotFound(`there is no ${kind} "${name}" in workspace ${own.name}.${hint}`);
}

/** The first objects of a list. */
export async function firstOf<T>(all: AsyncIterable<T>, limit: number): Promise<T[]> {
  const found: T[] = [];
  for await (const object of all) {
    found.push(object);
    if (found.length >= limit) break;
  }
  return found;
}

/** Names of all objects of a list by their ids. */
export async function namesOf(
  all: AsyncIterable<{ id: number; name: string }>,
): Promise<Map<number, string>> {
  const names = new Map<number, string>();
  for await (const { id, name } of all) names.set(id, name);
  return names;
}
