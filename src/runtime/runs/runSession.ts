/** What a run's steps ask of the sync engine while one worker has the run. */

/** A batch of the plan, ready to become a delivery. */
export interface PlannedBatch {
  batchNo: number;
  /** Of a half of a batch that was split, such as 3_1; null for a batch of the plan. */
  name: string | null;
  records: number;
  bodySha256: string;
}

/** What the destination made of the batches so far; `open` ones have no outcome yet. */
export interface LoadTotals {
  open: number;
  acceptedRecords: number;
  rejectedRecords: number;
  unavailableBatches: number;
  /** Why the first unavailable batch was given up; null when none was. */
  unavailableMessage: string | null;
}

/** One run in the hands of one worker: the database's lock on it is held until `close`. */
export interface RunSession {
  check(forceFullSync: boolean): Promise<{ destinationId: number; fullSync: boolean; reasons: string[] }>;
  /** Reads keys and hashes of the model; `onProgress` hears the rows read so far. Aborting throws, and ends the reading. */
  snapshot(onProgress: (rows: number) => void, signal?: AbortSignal): Promise<{ sourceRecordCount: number }>;
  /** Writes the plan down; reads the model again first when the snapshot died with another worker. */
  plan(facts: {
    fullSync: boolean;
    /** Whether the share of deletes is passed over. */
    allowDeletes: boolean;
    syncRunAt: Date;
    /** Hears the rows to send that were found so far. */
    onProgress?: (rows: number) => void;
    signal?: AbortSignal;
  }): Promise<{
    sourceRecordCount: number;
    updates: number;
    deletes: number;
    invalids: number;
    batches: number;
  }>;
  /** How long the destination has for one batch, ms. */
  destinationTimeoutMs(): Promise<number>;
  /** Share of rejected rows at which the run stops, percent; null for none. */
  maxRejectedPercent(): Promise<number | null>;
  /** The first batches without an outcome after `afterBatchNo`, in order; deletes once no other batch is open. */
  openBatches(afterBatchNo: number, limit: number): Promise<PlannedBatch[]>;
  /** The same, to be fed: small ones are held with their bytes, for requests that this process makes before `letGo`. */
  batchesToFeed(afterBatchNo: number, limit: number): Promise<PlannedBatch[]>;
  /** Holds no bytes any more: whoever sends a batch reads whether it still may. */
  letGo(): void;
  /** Those of the given batches that have no outcome yet. */
  stillOpen(batchNos: readonly number[]): Promise<number[]>;
  /** Takes the bytes of batches away: no attempt of them begins any more, while one under way still counts. */
  withdraw(batchNos: readonly number[]): Promise<void>;
  totals(): Promise<LoadTotals>;
  /** Makes the mapping of this run the one that the sync's state stands for. */
  commit(): Promise<void>;
  /** Frees the sync for its next run and drops what only this run needed; safe to call twice. */
  release(): Promise<void>;
  close(): Promise<void>;
}

/** Opens runs. `open` answers null while another worker has the run. */
export interface RunEngine {
  open(run: { workspaceId: number; syncId: number; runId: number }): Promise<RunSession | null>;
}
