/**
 * What commands ask of an Egret, area by area. Each desk is made twice: over the services (local/) and over the API of a
 * server elsewhere (remote/); commands do not know which one they have. What is only told by the services is optional.
 */
import type { AnyEvent, EventData } from "../domain/event.ts";
import type { LifecycleEvent } from "../domain/lifecycle.ts";
import type { ExportForm } from "../engine/recordExport.ts";
import type { RecordFilter, RecordStatus, RowRecord } from "../engine/records.ts";
import type { TestExchange } from "../engine/trials.ts";
import type { ListedAlert } from "../projections/alerts.ts";
import type { DestinationCall } from "../projections/calls.ts";
import type { Attempt, Delivery } from "../projections/deliveries.ts";
import type { DeliveryPlace } from "../projections/deliverySearch.ts";
import type { KeptExchange } from "../projections/exchanges.ts";
import type { Run } from "../projections/runs.ts";
import type { ReplayProgress } from "../runtime/hints.ts";
import type { ReplayRow } from "../runtime/replays/replayStore.ts";
import type { RunScreen } from "./runScreen.ts";

/** A workspace by name or id; needed when there are several. */
export interface InWorkspace {
  workspace?: string | undefined;
}

/** An object by name or id. */
export interface Wanted extends InWorkspace {
  name: string;
}

/** A sync as lists show it; names as in its JSON. */
export interface ShownSync {
  id: number;
  name: string;
  status: string;
  paused: boolean;
  operation: string;
  source: string;
  /** Name of the model, or `schema.table`. */
  object: string;
  destination: string;
  schedule: string;
  next_run_at: Date | null;
  last_run_id: number | null;
  last_run_at: Date | null;
}

/** Syncs. @throws NotFound naming the nearest. */
export interface SyncsDesk {
  list(where: InWorkspace): Promise<ShownSync[]>;
  show(wanted: Wanted): Promise<ShownSync>;
  setPaused(
    wanted: Wanted,
    paused: boolean,
  ): Promise<{ name: string; isChanged: boolean; isPausedByFile: boolean }>;
}

/** A run as commands show it. */
export type ShownRun = Pick<
  Run,
  | "id"
  | "sync_id"
  | "sync_name"
  | "run_kind"
  | "status"
  | "created_at"
  | "started_at"
  | "completed_at"
  | "full_sync"
  | "canceled"
  | "source_record_count"
  | "source_record_updates"
  | "source_record_deletes"
  | "source_record_invalids"
  | "records_processed"
  | "records_updated"
  | "records_failed"
  | "error_code"
  | "error_message"
  | "error_detail"
>;

/** A delivery as commands show it. */
export type ShownDelivery = Omit<Delivery, "workspace_id" | "version">;

/** An attempt as commands show it. */
export type ShownAttempt = Pick<Attempt, "attempt" | "started_at" | "duration_ms" | "http_status" | "error">;

/** What happened in a run. */
export interface RunStory {
  run: ShownRun | null;
  /** From the log, oldest first. */
  events: AnyEvent[];
  deliveries: ShownDelivery[];
  attempts: (ShownAttempt & Pick<Attempt, "target_kind" | "target_id" | "delivery_id">)[];
}

/** How a run ended. */
export interface ShownEnd {
  outcome: "success" | "failed";
  durationMs: number;
  completed: Omit<EventData<"sync.completed">, "status">;
}

/** A wish for a run. */
export interface TriggerWish extends Wanted {
  isFull: boolean;
  allowDeletes?: boolean | undefined;
  allowRejects?: boolean | undefined;
  /** Idempotency key: the same one never makes two runs. */
  id: string;
  reason: string;
  timeoutMs: number;
}

/** A run that was started. */
export interface TriggeredRun {
  runId: number;
  syncId: number;
  workspaceId: number;
  /** Names of destinations whose last connection test failed. */
  failedDestinations: string[];
  /** @throws TimedOut when nothing takes it up in time; InvalidInput when it was skipped. */
  watch(screen: RunScreen | null, startTimeoutMs: number): Promise<ShownEnd>;
}

/** Runs. @throws NotFound for one that is not known. */
export interface RunsDesk {
  list(wanted: InWorkspace & { sync?: string | undefined; limit: number }): Promise<ShownRun[]>;
  story(runId: number): Promise<RunStory>;
  /** Until it has ended; true when it failed. */
  watch(runId: number, screen: RunScreen | null): Promise<boolean>;
  /** @throws InvalidInput when it is refused; TimedOut when nothing takes it. */
  trigger(wish: TriggerWish): Promise<TriggeredRun>;
  /** Resolves with the run's end, or with null when that was not to be waited for. */
  cancel(runId: number, wish: { timeoutMs: number; isAwaited: boolean }): Promise<CanceledRun | null>;
}

/** The end of a canceled run; `records_updated` is not there for dry and test runs. */
export type CanceledRun = { records_updated?: number | null } & Record<string, unknown>;

/** How a dry or test run ended. */
export interface TrialEnd {
  runId: number;
  end:
    | { type: "trial.completed"; data: Omit<EventData<"trial.completed">, "destination_id"> }
    | { type: "trial.failed"; data: EventData<"trial.failed"> };
}

/** Dry and test runs. @throws InvalidInput when refused; TimedOut when nothing takes them up. */
export interface TrialsDesk {
  dryRun(wish: Wanted & { isFull: boolean; timeoutMs: number; isShown: boolean }): Promise<TrialEnd>;
  test(
    wish: Wanted & { key?: string | undefined; timeoutMs: number },
  ): Promise<{ tried: TrialEnd; exchange: TestExchange | null }>;
}

/** The first requests of a sync as they would be sent, and why rows among them would be set aside; names as in its JSON. */
export interface ShownPreview {
  requests: { method: string; url: string; rows: number; body: string }[];
  invalid: string[];
}

/** Previews. @throws NotFound naming the nearest; AppError when the source does not answer, or the sync does not fit it. */
export interface PreviewsDesk {
  preview(wanted: Wanted & { rows: number }): Promise<ShownPreview>;
}

/** Which rows of a run. */
export type WantedRecords = Pick<RecordFilter, "statuses" | "identifier" | "operation"> & { runId: number };

/** Rows of runs. @throws NotFound for a run that is not known, or keeps none. */
export interface RecordsDesk {
  /** One more than `limit` where there are more. */
  list(
    wanted: WantedRecords & { after?: string | undefined; limit: number; isCounted: boolean },
  ): Promise<{ found: RowRecord[]; counts: ReadonlyMap<RecordStatus, number> | null; isKept: boolean }>;
  export(
    wanted: WantedRecords,
    form: ExportForm,
    onBegin: (facts: { isKept: boolean }) => void,
  ): AsyncIterable<string | Uint8Array>;
  find(wanted: Wanted & { key: string; limit: number }): Promise<RowRecord[]>;
}

/** Requests to a sync's destination. */
export interface CallsDesk {
  /** Hands over how to ask for the latest calls, newest first, as often as is wanted. */
  withLatest(
    wanted: Wanted & { runId?: number | undefined },
    use: (latest: (limit: number, since?: Date) => Promise<DestinationCall[]>) => Promise<void>,
  ): Promise<void>;
}

/** An alert as commands show it. */
export type ShownAlert = Omit<ListedAlert, "workspace_id" | "updated_at">;

/** Alerts. */
export interface AlertsDesk {
  list(
    wanted: InWorkspace & { sync?: string | undefined; isOpen: boolean; limit: number },
  ): Promise<ShownAlert[]>;
  /** With its events, oldest first. Null when it is not known. */
  show(id: number): Promise<{ alert: ShownAlert; events: AnyEvent[] } | null>;
}

/** By what deliveries are searched. */
export interface DeliverySearch extends InWorkspace {
  webhook?: string | undefined;
  destination?: string | undefined;
  sync?: string | undefined;
  event?: LifecycleEvent | undefined;
  run?: number | undefined;
  status?: number | undefined;
  since?: Date | undefined;
  until?: Date | undefined;
  state?: Delivery["state"] | undefined;
  after?: DeliveryPlace | undefined;
  limit: number;
}

/** A delivery with everything that is known of it. */
export type ShownDeliveryDetail = ShownDelivery & {
  attemptList: readonly (ShownAttempt & {
    exchanges: readonly { exchange: Omit<KeptExchange, "call"> }[];
  })[];
};

/** Deliveries. @throws NotFound for one that is not known. */
export interface DeliveriesDesk {
  /** Names of targets as `webhook/14`. */
  list(search: DeliverySearch): Promise<{ rows: ShownDelivery[]; names: ReadonlyMap<string, string> }>;
  show(id: string): Promise<ShownDeliveryDetail>;
  /** @throws InvalidInput when it cannot be sent again as things stand. */
  redeliver(id: string): Promise<{ state: string; version?: number }>;
}

/** What a replay is to deliver again: by what deliveries are searched, or what `webhook` missed since then. */
export interface ReplayWish
  extends Pick<
    DeliverySearch,
    "workspace" | "webhook" | "sync" | "event" | "run" | "status" | "since" | "until"
  > {
  isMissed: boolean;
  /** How they ended; dead unless given. */
  state?: "dead" | "delivered" | "ended" | undefined;
  ratePerSecond: number;
}

/** A replay as commands show it. */
export type ShownReplay = Omit<ReplayRow, "wanted" | "cursor" | "taken"> & {
  wanted: { kind: string } & Record<string, unknown>;
};

/** Is told how far a replay is, as often as that is known; `total` is null while it is counted. */
export type ReplayWatcher = (progress: Pick<ReplayProgress, "total" | "replayed" | "skipped">) => void;

/** Replays. @throws NotFound for one that is not known. */
export interface ReplaysDesk {
  /** How many deliveries it would begin again now. @throws InvalidInput when it cannot be done. */
  count(wish: ReplayWish): Promise<number>;
  /** Its id. @throws InvalidInput when it cannot be done. */
  start(wish: ReplayWish): Promise<number>;
  /** Newest first. */
  list(wanted: InWorkspace & { limit: number }): Promise<ShownReplay[]>;
  /** Until it has ended. */
  watch(id: number, show: ReplayWatcher): Promise<ShownReplay>;
  /** Once it has stopped. @throws InvalidInput when it has ended; TimedOut when no worker stops it. */
  cancel(id: number, timeoutMs: number): Promise<ShownReplay>;
}

/** A webhook as lists show it; names as in its JSON. */
export interface ShownWebhook {
  id: number;
  name: string;
  /** Without what may be secret in it. */
  endpoint: string;
  events: readonly string[];
  enabled: boolean;
  paused: boolean;
  /** Of its endpoint, such as failing. */
  health: string;
}

/** A webhook after a switch. */
export interface SwitchedWebhook {
  name: string;
  isChanged: boolean;
  wasDisabled: { reason: string; at: Date } | null;
  /** Whether applying an unchanged egret.yaml leaves it so. */
  outlastsApply: boolean;
  /** Whether its endpoint counted as disabled by what it did. */
  wasOut: boolean;
}

/** What a webhook answered to a ping. */
export interface Pinged {
  webhook: string;
  endpoint: string;
  isAccepted: boolean;
  eventId: string;
  httpStatus: number | null;
  error: string | null;
  durationMs: number;
  exchange: Omit<KeptExchange, "call">;
}

/** Webhooks. @throws NotFound naming the nearest. */
export interface WebhooksDesk {
  list(where: InWorkspace): Promise<ShownWebhook[]>;
  enable(wanted: Wanted): Promise<SwitchedWebhook>;
  disable(wanted: Wanted): Promise<SwitchedWebhook>;
  setPaused(wanted: Wanted, paused: boolean): Promise<{ name: string; isChanged: boolean }>;
  ping(wanted: Wanted): Promise<Pinged>;
  rotateSecret(
    wanted: Wanted,
    overlapMs: number,
  ): Promise<{ name: string; secret: string; previousUntil: Date | null }>;
}

/** Destinations. @throws NotFound naming the nearest. */
export interface DestinationsDesk {
  setPaused(wanted: Wanted, paused: boolean): Promise<{ name: string; isChanged: boolean }>;
  test(wanted: Wanted): Promise<{ name: string; ok: boolean; httpStatus: number | null; message: string }>;
}

/** Every desk by its area. */
export interface Desks {
  syncs: SyncsDesk;
  runs: RunsDesk;
  trials: TrialsDesk;
  previews: PreviewsDesk;
  records: RecordsDesk;
  calls: CallsDesk;
  alerts: AlertsDesk;
  deliveries: DeliveriesDesk;
  replays: ReplaysDesk;
  webhooks: WebhooksDesk;
  destinations: DestinationsDesk;
}
