/** Syncs over the API. */
import { type Client, each, type Schemas } from "../../client/client.ts";
import { scheduleWords } from "../../domain/schedule.ts";
import type { ShownSync, SyncsDesk } from "../desks.ts";
import { findSync, namesOf } from "./findNamed.ts";
import { dateOrNull } from "./instants.ts";
import { checkWorkspace } from "./openRemote.ts";

/** The desk. */
export function remoteSyncsDesk(client: Client): SyncsDesk {
  return {
    list: async ({ workspace }) => {
      await checkWorkspace(client, workspace);
      const [sources, destinations] = await Promise.all([
        namesOf(each(client.listSources)),
        namesOf(each(client.listDestinations)),
      ]);
      const syncs: ShownSync[] = [];
      for await (const sync of each(client.listSyncs)) syncs.push(shown(sync, { sources, destinations }));
      return syncs.sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    show: async (wanted) => {
      const sync = await findSync(client, wanted);
      const { connection_id: sourceId } = sync.source_attributes;
      const { connection_id: destinationId } = sync.destination_attributes;
      const [source, destination] = await Promise.all([
        client.getSource({ path: { id: sourceId } }),
        client.getDestination({ path: { id: destinationId } }),
      ]);
      return shown(sync, {
        sources: new Map([[sourceId, source.data.name]]),
        destinations: new Map([[destinationId, destination.data.name]]),
      });
    },
    setPaused: async (wanted, paused) => {
      const { id, resource_identifier: name, paused: wasPaused } = await findSync(client, wanted);
      const { data } = await client.updateSync({ path: { id }, body: { paused } });
      // What egret.yaml pauses stays paused.
      return { name, isChanged: data.paused !== wasPaused, isPausedByFile: !paused && data.paused };
    },
  };
}

interface Names {
  sources: ReadonlyMap<number, string>;
  destinations: ReadonlyMap<number, string>;
}

function shown(sync: Schemas["Sync"], { sources, destinations }: Names): ShownSync {
  const { connection_id: sourceId, object } = sync.source_attributes;
  const { connection_id: destinationId } = sync.destination_attributes;
  return {
    id: sync.id,
    name: sync.resource_identifier,
    status: sync.status.toLowerCase(),
    paused: sync.paused,
    operation: sync.operation,
    source: sources.get(sourceId) ?? `source ${sourceId}`,
    object: object.type === "table" ? `${object.table_schema}.${object.table_name}` : object.name,
    destination: destinations.get(destinationId) ?? `destination ${destinationId}`,
    schedule: wordsOf(sync),
    next_run_at: dateOrNull(sync.next_run_at),
    last_run_id: sync.last_run_id,
    last_run_at: dateOrNull(sync.last_run_at),
  };
}

function wordsOf(sync: Schemas["Sync"]): string {
  const { schedule_frequency: frequency, schedule_hour: hour, schedule_minute: minute } = sync;
  if (frequency === "never") return "-";
  const day = DAYS.find((name) => name === sync.mode.triggers.schedule?.day);
  return scheduleWords({
    frequency,
    ...(day === undefined ? {} : { day }),
    ...(hour === null ? {} : { hour }),
    ...(minute === null ? {} : { minute }),
    ...(sync.cron_expression === null ? {} : { cron_expression: sync.cron_expression }),
  });
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"] as const;
