/** Read model of endpoints: the health of each target that was ever seen failing. */
import { type Kysely, type Selectable, sql } from "kysely";
import type { AnyEvent, StoredEvent } from "../domain/event.ts";
import type { Database } from "./database.ts";
import type { EndpointReadModel } from "./readModelTables.ts";
import { columnArrays, type ReadModelWriter, type Table, tableName, writeRows } from "./tableWriter.ts";

/** The health of a target as the read model has it. */
export type Endpoint = Selectable<EndpointReadModel>;

type EndpointEvent = Extract<AnyEvent, { type: `endpoint.${string}` }>;

const ENDPOINTS: Table<Endpoint> = {
  name: "endpoints",
  key: ["target_kind", "target_id"],
  columns: {
    target_kind: "text",
    target_id: "bigint",
    workspace_id: "bigint",
    state: "text",
    version: "integer",
    since: "timestamptz",
    consecutive_failures: "integer",
    last_error: "text",
    last_http_status: "integer",
    next_probe_at: "timestamptz",
    reason: "text",
    outages: "integer",
    updated_at: "timestamptz",
  },
};

function isEndpointEvent(event: AnyEvent): event is EndpointEvent {
  return event.type.startsWith("endpoint.");
}

/** The row of an endpoint after one more event; each event tells all but how many outages there were. */
export function foldEndpoint(before: Endpoint | undefined, event: EndpointEvent): Endpoint {
  const { target_kind, target_id, workspace_id, since, consecutive_failures } = event.data;
  const isHealthy = event.type === "endpoint.healthy";
  const isNewOutage = !isHealthy && (before === undefined || before.state === "healthy");
  return {
    target_kind,
    target_id,
    workspace_id,
    state: event.state as Endpoint["state"],
    version: event.version,
    since: isHealthy || since === null ? null : new Date(since),
    consecutive_failures: isHealthy ? 0 : consecutive_failures,
    // What went wrong last stays readable after the recovery.
    last_error: event.data.last_error,
    last_http_status: event.data.last_http_status,
    next_probe_at: event.type === "endpoint.open" ? new Date(event.data.next_probe_at) : null,
    reason: event.type === "endpoint.disabled" ? event.data.reason : null,
    outages: (before?.outages ?? 0) + (isNewOutage ? 1 : 0),
    updated_at: new Date(event.time),
  };
}

/** Projects what the log says of the health of targets. */
export async function projectEndpoints(
  writer: ReadModelWriter,
  events: readonly StoredEvent[],
): Promise<void> {
  const own = events.map(({ event }) => event).filter(isEndpointEvent);
  if (own.length === 0) return;
  const keys = [...new Map(own.map(({ data }) => [`${data.target_kind}/${data.target_id}`, data])).values()];
  const { rows } = await writer.client.query<Endpoint>(
    `select ${Object.keys(ENDPOINTS.columns).join(", ")} from ${tableName(writer, ENDPOINTS)}
     where (target_kind, target_id) in (select * from unnest($1::text[], $2::bigint[]))`,
    columnArrays<Pick<Endpoint, "target_kind" | "target_id">>(
      { target_kind: "text", target_id: "bigint" },
      keys,
    ),
  );
  const endpoints = new Map(rows.map((row) => [`${row.target_kind}/${row.target_id}`, row]));
  for (const event of own) {
    const key = `${event.data.target_kind}/${event.data.target_id}`;
    endpoints.set(key, foldEndpoint(endpoints.get(key), event));
  }
  await writeRows(writer, ENDPOINTS, [...endpoints.values()]);
}

/** A target that is configured, with its health; `healthy` and no more for one that was never seen failing. */
export interface TargetHealth extends Omit<Endpoint, "version" | "updated_at"> {
  name: string;
  updated_at: Date | null;
}

/** The health of every webhook and destination of a workspace, or of all, worst first. */
export async function listEndpoints(
  db: Kysely<Database>,
  wanted: { workspaceId?: number } = {},
): Promise<TargetHealth[]> {
  const { rows } = await sql<TargetHealth>`
    select target.kind as target_kind, target.id as target_id, target.workspace_id, target.name,
           coalesce(state, 'healthy') as state, since, coalesce(consecutive_failures, 0) as consecutive_failures,
           last_error, last_http_status, next_probe_at, reason, coalesce(outages, 0) as outages, endpoint.updated_at
    from (select 'webhook' as kind, id, workspace_id, name from egret.webhooks
          union all select 'destination', id, workspace_id, name from egret.destinations) target
    left join egret_read.endpoints endpoint on target_kind = target.kind and target_id = target.id
    where ${wanted.workspaceId ?? null}::bigint is null or target.workspace_id = ${wanted.workspaceId ?? null}
    order by array_position(array['disabled', 'open', 'probing', 'failing'], state), target.workspace_id,
             target.kind desc, target.name`.execute(db);
  return rows;
}
