/** The checks of `egret doctor` on the log: streams and their fill, workers, and how far the read models are behind. */
import type { StreamInfo } from "@nats-io/jetstream";
import type { LogConnection } from "../log/connection.ts";
import { CONSUMERS, type StreamName } from "../log/topology.ts";
import { type Finding, ok } from "./finding.ts";
import { bytes, count, counted } from "./format.ts";
import { type Reach, withDatabase } from "./reach.ts";

/** A stream refuses new events when it is full: from this share on it is time to act. */
const FULL_SHARE = 0.8;
/** A projector that keeps up is never behind by more for long. */
const LAG_EVENTS = 1_000;

/** Streams, workers, lag. */
export async function checkLog(connection: LogConnection, reach: Reach): Promise<Finding[]> {
  const { jsm, topology } = connection;
  const findings: Finding[] = [];
  const infos = new Map<string, StreamInfo>();
  for (const name of [topology.commandStream, ...Object.values(topology.eventStreams)]) {
    const info = await jsm.streams.info(name).catch(() => null);
    if (info !== null) infos.set(name, info);
    findings.push(info === null ? missingStream(name) : fillOf(name, info));
  }
  if (infos.has(topology.commandStream)) findings.push(await checkWorkers(connection));
  if (reach.databaseUrl !== null) findings.push(...(await checkLag(connection, reach, infos)));
  return findings;
}

function missingStream(name: string): Finding {
  const fix = "run egret start once against this NATS server: it makes its streams";
  return { name: "stream", state: "problem", message: `${name} does not exist`, fix };
}

function fillOf(name: string, { config, state }: StreamInfo): Finding {
  const share = config.max_bytes > 0 ? state.bytes / config.max_bytes : 0;
  const size = `${bytes(state.bytes)} of ${bytes(config.max_bytes)} (${Math.round(share * 100)} %)`;
  const message = `${name}: ${counted(state.messages, "message")}, ${size}`;
  if (share < FULL_SHARE) return ok("stream", message);
  const fix =
    "raise EGRET_STREAM_MAX_BYTES and start again: a full stream accepts no event, and runs stand still";
  return { name: "stream", state: "warning", message, fix };
}

async function checkWorkers({ jsm, topology }: LogConnection): Promise<Finding> {
  const info = await jsm.consumers.info(topology.commandStream, CONSUMERS.commands).catch(() => null);
  if (info !== null && info.num_waiting > 0) return ok("workers", "at least one waits for work");
  const fix = "run egret start, with the role worker among its roles";
  return { name: "workers", state: "warning", message: "none waits for commands", fix };
}

async function checkLag(
  { topology }: LogConnection,
  reach: Reach,
  infos: ReadonlyMap<string, StreamInfo>,
): Promise<Finding[]> {
  const rows = await withDatabase(reach, ({ db }) =>
    db.selectFrom("egret_read.checkpoints").selectAll().execute(),
  ).catch(() => null);
  // Postgres and its schema have findings of their own.
  if (rows === null) return [];
  const findings: Finding[] = [];
  for (const stream of ["runs", "deliveries"] satisfies StreamName[]) {
    const info = infos.get(topology.eventStreams[stream]);
    if (info === undefined) continue;
    const row = rows.find((checkpoint) => checkpoint.stream === stream);
    findings.push(lagOf(stream, info, row));
  }
  return findings;
}

function lagOf(
  stream: StreamName,
  { created, state }: StreamInfo,
  row: { last_sequence: number; stream_created: Date } | undefined,
): Finding {
  const name = "read models";
  const isOther = row !== undefined && row.stream_created.getTime() !== new Date(created).getTime();
  if (isOther || (row?.last_sequence ?? 0) > state.last_seq) {
    const message = `${stream}: made from another log than the present one`;
    const fix = "restore the log, or accept the present one with egret projections rebuild";
    return { name, state: "problem", message, fix };
  }
  const behind = state.last_seq - (row?.last_sequence ?? 0);
  if (behind <= LAG_EVENTS)
    return ok(name, `${stream}: ${behind === 0 ? "up to date" : `${count(behind)} events behind`}`);
  const fix = "run egret start with the role projector, or wait until it has caught up";
  return { name, state: "warning", message: `${stream}: ${count(behind)} events behind`, fix };
}
