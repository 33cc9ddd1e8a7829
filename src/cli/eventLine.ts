/** Events of the log as one readable line each. */
import type { AnyEvent, EventData } from "../domain/event.ts";
import { clock, count, counted, duration } from "./format.ts";
import { paint, type Style } from "./terminal.ts";

/** What an event says beyond its type, in words. */
export function eventDetails(event: AnyEvent): string {
  switch (event.type) {
    case "sync.triggered": {
      const { sync_name, force_full_sync, allow_deletes, allow_rejects, sync_trigger_reason } = event.data;
      const full = [
        force_full_sync ? ", full sync asked for" : "",
        allow_deletes === true ? ", deletes allowed" : "",
        allow_rejects === true ? ", rejects allowed" : "",
      ].join("");
      return `${sync_name}: ${sync_trigger_reason.ui_tag}, ${sync_trigger_reason.ui_detail}${full}`;
    }
    case "sync.skipped": {
      const { sync_name, sync_trigger_reason, running_run_id } = event.data;
      return `${sync_name}: ${sync_trigger_reason.ui_tag}, while run ${running_run_id} was under way`;
    }
    case "sync.started":
      return `by worker ${event.data.worker}`;
    case "sync.checked":
      return event.data.full_sync
        ? `full sync (${event.data.full_sync_reasons.join(", ") || "asked for"})`
        : "only what changed since the last run";
    case "sync.snapshotted":
      return `${counted(event.data.source_record_count, "row")} read in ${duration(event.data.duration_ms)}`;
    case "sync.planned": {
      const { source_record_updates, source_record_deletes, source_record_invalids, batches, duration_ms } =
        event.data;
      const deletes = source_record_deletes > 0 ? `, ${count(source_record_deletes)} to delete` : "";
      const invalid =
        source_record_invalids > 0 ? `, ${count(source_record_invalids)} invalid set aside` : "";
      return `${counted(source_record_updates, "row")} to send${deletes} in ${counted(batches, "batch", "batches")}${invalid} (${duration(duration_ms)})`;
    }
    case "sync.loaded":
      return `${counted(event.data.records_updated, "row")} accepted, ${count(event.data.records_failed)} rejected`;
    case "sync.completed":
      return event.data.status === "ok"
        ? "status ok"
        : `status emergency: ${event.data.error_code}: ${event.data.error_message}${event.data.error_detail === null ? "" : ` (${event.data.error_detail})`}`;
    case "sync.success":
      return `in ${duration(event.data.duration_ms)}`;
    case "sync.failed":
      return `after ${duration(event.data.duration_ms)}: ${event.data.error_code}`;
    case "delivery.pending":
    case "delivery.retrying":
    case "delivery.delivered":
    case "delivery.dead":
      return deliveryDetails(event);
    case "config.created":
    case "config.updated":
    case "config.deleted":
      return `${event.data.kind} ${event.data.name}, by ${event.data.actor}`;
    case "command.refused":
      return `${event.data.code}: ${event.data.message}`;
    case "endpoint.healthy":
    case "endpoint.failing":
    case "endpoint.open":
    case "endpoint.probing":
    case "endpoint.disabled":
      return endpointDetails(event);
    case "alert.raised":
    case "alert.resolved":
      return alertDetails(event);
    case "sync.cancel_requested":
      return `by ${event.data.requested_by}`;
    case "trial.requested":
    case "trial.started":
    case "trial.completed":
    case "trial.failed":
      return trialDetails(event);
    case "replay.requested":
      return `${event.data.wanted.kind.replace("_", " ")}, by ${event.data.requested_by}`;
    case "replay.completed":
    case "replay.failed":
    case "replay.cancelled":
      return replayEnd(event);
  }
}

function trialDetails(event: Extract<AnyEvent, { type: `trial.${string}` }>): string {
  switch (event.type) {
    case "trial.requested": {
      const { run_kind, sync_name, sync_trigger_reason } = event.data;
      return `${run_kind === "dry" ? "dry run" : "test"} of ${sync_name}: ${sync_trigger_reason.ui_detail}`;
    }
    case "trial.started":
      return `by worker ${event.data.worker}`;
    case "trial.completed": {
      const { dry, test, source_record_count } = event.data;
      if (test !== null)
        return `the record was ${test.outcome}${test.error === null ? "" : ` (${test.error})`}`;
      const { expected_creates = 0, expected_updates = 0, expected_deletes = 0 } = dry ?? {};
      const found = `${count(expected_creates)} creates, ${count(expected_updates)} updates, ${count(expected_deletes)} deletes`;
      return `${counted(source_record_count ?? 0, "row")} read; expected: ${found}`;
    }
    case "trial.failed":
      return `${event.data.error_code}: ${event.data.error_message}`;
  }
}

function alertDetails(event: Extract<AnyEvent, { type: `alert.${string}` }>): string {
  const { alert_instance_id, alert_type, sync_run_id, message, details } = event.data;
  const alert = `${alert_type.replace("AlertConfiguration", "")} alert ${alert_instance_id}`;
  if (event.type === "alert.resolved" && event.data.reason !== "recovered")
    return `${alert}: closed, ${event.data.reason.replace("_", " ")}`;
  return `${alert} on run ${sync_run_id}: ${message}: ${details}`;
}

function replayEnd(
  event: Extract<AnyEvent, { type: "replay.completed" | "replay.failed" | "replay.cancelled" }>,
): string {
  const { replayed, skipped, duration_ms } = event.data;
  const passed = Object.values(skipped).reduce((sum, each) => sum + each, 0);
  const counts = `${counted(replayed, "delivery", "deliveries")} begun again, ${count(passed)} passed over`;
  const why = "error" in event.data ? `: ${event.data.error}` : "";
  const who = "cancelled_by" in event.data ? `, cancelled by ${event.data.cancelled_by}` : "";
  return `${counts} in ${duration(duration_ms)}${who}${why}`;
}

function endpointDetails(event: Extract<AnyEvent, { type: `endpoint.${string}` }>): string {
  const { target_kind, target_id, consecutive_failures, last_error } = event.data;
  const target = `${target_kind} ${target_id}`;
  const why = last_error === null ? "" : ` (${last_error})`;
  switch (event.type) {
    case "endpoint.healthy": {
      const { outage_ms, fact } = event.data;
      if (fact === "created") return `${target}: its history begins`;
      const after = outage_ms === null ? "" : ` after ${duration(outage_ms)}`;
      return `${target}: ${fact === "target.enabled" ? "enabled again" : "answers again"}${after}`;
    }
    case "endpoint.failing":
      return `${target}: ${count(consecutive_failures)} failures in a row${why}`;
    case "endpoint.open":
      return `${target}: nothing new is sent before ${clock(event.data.next_probe_at)}${why}`;
    case "endpoint.probing":
      return `${target}: probe ${event.data.probe}`;
    case "endpoint.disabled":
      return `${target}: disabled, ${event.data.reason}${why}`;
  }
}

function deliveryDetails(event: Extract<AnyEvent, { type: `delivery.${string}` }>): string {
  const target = `${event.data.target_kind} ${event.data.target_id}`;
  switch (event.type) {
    case "delivery.pending":
      return `${event.data.event ?? counted(event.data.records, "row")} for ${target}${askedBy(event.data)}`;
    case "delivery.retrying": {
      const { attempt, error, delay_ms, due_at } = event.data;
      return `${target}: attempt ${attempt} failed (${error}); the next is due ${clock(due_at)}, in ${duration(delay_ms)}`;
    }
    case "delivery.delivered": {
      const { attempt, http_status, duration_ms } = event.data;
      return `${target}: attempt ${attempt} accepted, HTTP ${http_status} in ${duration(duration_ms)}`;
    }
    case "delivery.dead": {
      const { attempt, reason, error } = event.data;
      const last = attempt === null ? "" : ` after attempt ${attempt}`;
      return `${target}: given up${last}, ${reason}${error === null ? "" : ` (${error})`}`;
    }
  }
}

/** Who asked for a delivery that came neither from a run nor from a lifecycle event as it happened. */
function askedBy({ fact, redelivery }: EventData<"delivery.pending">): string {
  if (redelivery === undefined) return "";
  const job = redelivery.job_id === null ? "" : `, replay ${redelivery.job_id}`;
  return `, ${fact === "redelivered" ? "again" : "missed before"}: ${redelivery.by}${job}`;
}

const STYLES: Readonly<Record<string, Style>> = {
  "sync.success": "green",
  "sync.failed": "red",
  "delivery.delivered": "green",
  "delivery.retrying": "yellow",
  "delivery.dead": "red",
  "command.refused": "red",
  "trial.completed": "green",
  "trial.failed": "red",
  "alert.raised": "yellow",
  "alert.resolved": "green",
  "replay.failed": "red",
  "endpoint.healthy": "green",
  "endpoint.failing": "yellow",
  "endpoint.open": "red",
  "endpoint.disabled": "red",
};

/** The type of an event in its colour. */
export function eventTitle(event: AnyEvent, width = 0): string {
  const padded = event.type.padEnd(width);
  const isBad = event.type === "sync.completed" && event.data.status !== "ok";
  const style = isBad ? "red" : STYLES[event.type];
  return style === undefined ? padded : paint(style, padded);
}

/** One event on one line: time, aggregate, version, type, details. */
export function eventLine(event: AnyEvent): string {
  const version = `v${event.version}`.padStart(3);
  const title = eventTitle(event, 18);
  return `${paint("dim", clock(event.time))} ${event.subject.padEnd(18)} ${paint("dim", version)} ${title} ${eventDetails(event)}`;
}
