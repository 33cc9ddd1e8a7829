/** Generated from the OpenAPI document by `npm run client`: the objects of the API, and what each operation takes and answers. */
/* oxlint-disable max-lines -- generated */

/** Objects of the API by their names in the document. */
export interface Schemas {
  Alert: {
    /** the alert_instance_id that webhooks get */
    id: number;
    alert_configuration_id: number;
    type: string;
    status: "open" | "resolved";
    sync_id: number;
    sync_name: string | null;
    message: string;
    details: string;
    followup_url: string;
    times_raised: number;
    raised_at: string;
    raised_sync_run_id: number;
    last_raised_at: string;
    last_raised_sync_run_id: number;
    resolved_at: string | null;
    resolved_sync_run_id: number | null;
    /** recovered, moment, configuration_deleted or sync_deleted */
    resolution: string | null;
    resolved_message: string | null;
    resolved_details: string | null;
  };
  AlertConfiguration: {
    id: number;
    type:
      | "FailureAlertConfiguration"
      | "InvalidRecordPercentAlertConfiguration"
      | "StatusAlertConfiguration"
      | "FullSyncTriggerAlertConfiguration"
      | "RuntimeAlertConfiguration"
      | "RecordCountDeviationAlertConfiguration";
    send_for: "first_time" | "every_time";
    should_send_recovery: boolean;
    options: { [name: string]: unknown } | null;
  };
  AlertEvent: Schemas["AlertRaisedEvent"] | Schemas["AlertResolvedEvent"];
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  AlertRaisedEvent: Schemas["Event"] & {
    type: "alert.raised";
    data: {
      workspace_id: number;
      sync_id: number;
      /** the alert configuration that watches */
      alert_id: number;
      /** one episode, from its first raise to its resolution */
      alert_instance_id: number;
      alert_type:
        | "FailureAlertConfiguration"
        | "InvalidRecordPercentAlertConfiguration"
        | "StatusAlertConfiguration"
        | "FullSyncTriggerAlertConfiguration"
        | "RuntimeAlertConfiguration"
        | "RecordCountDeviationAlertConfiguration";
      /** how often it was raised in this episode */
      times: number;
      /** the run that shows it */
      sync_run_id: number;
      /** moment.came: over as it happens, no alert.resolved follows */
      fact: "limit.violated" | "moment.came";
      message: string;
      details: string;
      followup_url: string;
    };
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  AlertResolvedEvent: Schemas["Event"] & {
    type: "alert.resolved";
    data: {
      workspace_id: number;
      sync_id: number;
      /** the alert configuration that watches */
      alert_id: number;
      /** one episode, from its first raise to its resolution */
      alert_instance_id: number;
      alert_type:
        | "FailureAlertConfiguration"
        | "InvalidRecordPercentAlertConfiguration"
        | "StatusAlertConfiguration"
        | "FullSyncTriggerAlertConfiguration"
        | "RuntimeAlertConfiguration"
        | "RecordCountDeviationAlertConfiguration";
      /** how often it was raised in this episode */
      times: number;
      /** the run that resolves it; null when nobody watches any more: then nobody is told */
      sync_run_id: number | null;
      last_raised_run_id: number;
      fact: "limit.kept" | "watch.ended";
      reason: "recovered" | "configuration_deleted" | "sync_deleted";
      message: string | null;
      details: string | null;
      followup_url: string | null;
    };
  };
  ApiCall: {
    started_at: string;
    duration_ms: number;
    sync_run_id: number;
    /** number of the batch, or name of a half such as 3_1 */
    batch: string;
    attempt: number;
    method: string | null;
    /** without the values of its query */
    url: string | null;
    /** secrets are replaced */
    request_headers: { [name: string]: string | string[] };
    /** its first 64 KiB, as long as rows are kept */
    request_body: string | null;
    request_body_bytes: number | null;
    /** null when no answer came: then `error` says why */
    http_status: number | null;
    error: string | null;
    response_headers: { [name: string]: string | string[] } | null;
    /** its first 4 KiB */
    response_body: string | null;
  };
  ApiKey: {
    id: number;
    name: string;
    scopes: ("read" | "operate" | "admin")[];
    created_by: string;
    created_at: string;
    /** to the minute */
    last_used_at: string | null;
    expires_at: string | null;
    revoked_at: string | null;
  };
  ApiKeyMade: Schemas["ApiKey"] & {
    api_key: string;
  };
  Attempt: {
    /** from 1; goes on counting when it is delivered again */
    n: number;
    started_at: string;
    finished_at: string;
    duration_ms: number;
    http_status: number | null;
    /** null for an attempt that was accepted */
    error: string | null;
  };
  AuditEntry: {
    id: number;
    at: string;
    /** null for what was sent with a link */
    token_id: number | null;
    /** the link to the page on which it was sent; null for what was sent with a token */
    link_id: number | null;
    /** of the token; of a link, its id and who made it */
    token_name: string;
    method: string;
    /** of a page behind a link with what was to be done: save, test or add */
    route: string;
    /** what stands in the path, or the id of what was made */
    object_id: string | null;
    /** the HTTP status of the answer */
    status: number;
    address: string;
    user_agent: string | null;
    request_id: string;
  };
  Column: {
    name: string;
    type: string;
  };
  ConfigurationField: {
    id: string;
    label: string;
    type: "string" | "integer" | "number" | "boolean" | "object" | "array";
    /** `required`, or nothing */
    rules: string[];
    /** what holds when it is left out */
    placeholder: string | null;
    /** a secret: never shown again */
    is_password_type_field: boolean;
    /** empty: no choice */
    possible_values: string[];
    show: null;
    conditionally_required: null;
    description: string;
  };
  ConnectionTest: {
    id: number;
    success: boolean;
    message: string;
    http_status: number | null;
    last_test_succeeded: boolean | null;
    last_tested_at: string | null;
  };
  Connector: {
    service_name: string;
    label: string;
    documentation_slug: string;
    creatable_via_api: boolean;
    creatable_via_connect_link: boolean;
    supports_test: boolean;
    configuration_fields: {
      fields: Schemas["ConfigurationField"][];
    };
  };
  Dataset: {
    id: number;
    name: string;
    type: "sql";
    description: string | null;
    query: string;
    source_id: number;
    /** its short name, which never changes */
    resource_identifier: string;
    cached_record_count: null;
    columns: {
      name: string;
      data_type: string;
      /** whether a column of that type can identify rows */
      can_be_upsert_key: boolean;
    }[];
    created_at: string;
    updated_at: string;
  };
  Delivery: {
    /** of our log, and so a text: ids of deliveries are no numbers */
    id: string;
    /** null for a batch */
    webhook_id: number | null;
    /** null for an event */
    destination_id: number | null;
    event:
      | "sync.triggered"
      | "sync.started"
      | "sync.completed"
      | "sync.success"
      | "sync.failed"
      | "sync.alert.raised"
      | "sync.alert.resolved"
      | null;
    /** the same for all webhooks that get the event */
    event_id: string | null;
    sync_id: number;
    sync_run_id: number;
    /** rows of a batch */
    records: number;
    /** the exact text that is signed and sent; null for a batch */
    payload: string | null;
    payload_sha256: string;
    state: "pending" | "retrying" | "delivered" | "dead";
    /** why it is `dead`, such as exhausted */
    death_reason: string | null;
    /** of the last attempt */
    http_status: number | null;
    /** of the last attempt */
    error: string | null;
    attempt_count: number;
    /** how often it was begun again */
    redeliveries: number;
    next_attempt_at: string | null;
    created_at: string;
    updated_at: string;
    ended_at: string | null;
    attempts: Schemas["Attempt"][];
  };
  Destination: {
    id: number;
    name: string;
    type: string;
    /** the settings, and of secrets only that they are set, as `***`; what is sent back so stays as it is */
    connection_details: { [name: string]: unknown };
    paused: boolean;
    /** null: never tested */
    last_test_succeeded: boolean | null;
    last_tested_at: string | null;
    health: Schemas["Health"];
    created_at: string;
    updated_at: string;
  };
  DestinationField: {
    full_name: string;
    label: string;
    type: string;
    createable: boolean;
    updateable: boolean;
    array: boolean;
    operations: string[];
    preserve_values_supported: boolean;
    required_for_mapping: boolean;
    can_be_upsert_key: boolean;
    can_be_update_key: boolean;
    can_be_insert_key: boolean;
    can_be_reference_key: boolean;
    lookup_object: null;
  };
  DestinationObject: {
    full_name: string;
    label: string;
    supported_operations: ("upsert" | "update" | "insert" | "append" | "mirror" | "delete")[];
    allow_custom_fields: boolean;
    allow_case_sensitive_fields: boolean;
    supports_field_ordering: boolean;
    can_be_sync_destination: boolean;
    advanced_configuration_field_definitions: unknown[];
    fields: Schemas["DestinationField"][];
  };
  DetailedAttempt: Schemas["Attempt"] & {
    /** beginning of the answer's body, as long as it is kept */
    response_excerpt: string | null;
    /** what was said, as long as it is kept; two where a crash made the attempt happen twice */
    exchanges: Schemas["Exchange"][];
  };
  DetailedDelivery: {
    /** of our log, and so a text: ids of deliveries are no numbers */
    id: string;
    /** null for a batch */
    webhook_id: number | null;
    /** null for an event */
    destination_id: number | null;
    event:
      | "sync.triggered"
      | "sync.started"
      | "sync.completed"
      | "sync.success"
      | "sync.failed"
      | "sync.alert.raised"
      | "sync.alert.resolved"
      | null;
    /** the same for all webhooks that get the event */
    event_id: string | null;
    sync_id: number;
    sync_run_id: number;
    /** rows of a batch */
    records: number;
    /** the exact text that is signed and sent; null for a batch */
    payload: string | null;
    payload_sha256: string;
    state: "pending" | "retrying" | "delivered" | "dead";
    /** why it is `dead`, such as exhausted */
    death_reason: string | null;
    /** of the last attempt */
    http_status: number | null;
    /** of the last attempt */
    error: string | null;
    attempt_count: number;
    /** how often it was begun again */
    redeliveries: number;
    next_attempt_at: string | null;
    created_at: string;
    updated_at: string;
    ended_at: string | null;
    attempts: Schemas["DetailedAttempt"][];
  };
  Error: {
    status: "error" | number;
    message: string;
    /** the HTTP status */
    code?: number | undefined;
    errors?:
      | {
          field: string;
          message: string;
        }[]
      | undefined;
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  Event: {
    specversion: "1.0";
    id: string;
    source: "egret";
    /** whose history this is of */
    subject: string;
    time: string;
    datacontenttype: "application/json";
    /** place in that history, without a gap; the cursor of lists */
    version: number;
    /** the statechart that it moved */
    machine: string | null;
    /** of the statechart after it */
    state: string;
    traceparent?: string | undefined;
  };
  Exchange: {
    started_at: string;
    method: string | null;
    /** without the values of its query */
    url: string | null;
    /** null when no answer came: then `error` says why */
    http_status: number | null;
    error: string | null;
    /** secrets are replaced */
    request_headers: { [name: string]: string | string[] };
    response_headers: { [name: string]: string | string[] } | null;
    /** its first 4 KiB */
    response_body: string | null;
    timing: Schemas["Timing"];
  };
  Health: {
    /** `open`: down for long, so what has not begun waits for the next probe */
    state: "healthy" | "failing" | "open" | "probing" | "disabled";
    /** first failure of the present outage */
    since: string | null;
    consecutive_failures: number;
    outages: number;
    last_error: string | null;
    last_http_status: number | null;
    next_probe_at: string | null;
  };
  Link: {
    id: number;
    /** of the source or destination */
    type: string | null;
    /** the page; it has a query, to which more can be added. As secret as what it gives access to */
    uri: string;
    revoked: boolean;
    /** it cannot be used any more: `revoked` and `used` say more */
    expired: boolean;
    expiration: string;
    used: boolean;
    used_at: string | null;
    /** what it is for, or what was made with it */
    source_id: number | null;
    destination_id: number | null;
    sync_id: number | null;
    redirect_uri: string | null;
    created_at: string;
  };
  Mapping: {
    from: {
      type: "column" | "constant_value" | "liquid_template" | "sync_metadata";
      data:
        | string
        | {
            value: string | number | boolean | null;
            basic_type: string;
          }
        | {
            liquid_template: string;
          };
    };
    to: string;
    is_primary_identifier: boolean;
    sync_null_values: boolean;
    field_type?: string | undefined;
    operation: string | null;
    preserve_values: boolean;
    generate_field: boolean;
    array_field: boolean;
    follow_source_type: boolean;
    lookup_object: string | null;
    lookup_field: string | null;
    position: number;
  };
  MappingInput: {
    from?:
      | {
          type: "column" | "constant_value" | "liquid_template" | "sync_metadata";
          /** column: its name; constant_value: {value, basic_type}; liquid_template: {liquid_template}; sync_metadata: sync_run_id, sync_id or sync_run_started_at */
          data?: unknown;
        }
      | string
      | null
      | undefined;
    /** of the flat form */
    constant?: unknown;
    /** of the flat form */
    sync_metadata_key?: string | null | undefined;
    /** of the flat form */
    liquid_template?: string | null | undefined;
    to: string;
    is_primary_identifier?: boolean | null | undefined;
    sync_null_values?: boolean | null | undefined;
    /** one of object, array, boolean, decimal, float, integer, date, date_time, string */
    field_type?: string | null | undefined;
    /** of array fields: overwrite; in the flat form: direct, constant, liquid_template, sync_metadata */
    operation?: string | null | undefined;
    preserve_values?: boolean | null | undefined;
    generate_field?: boolean | null | undefined;
    array_field?: boolean | null | undefined;
    follow_source_type?: boolean | null | undefined;
    lookup_object?: string | null | undefined;
    lookup_field?: string | null | undefined;
  };
  Model: {
    type: "model";
    id: number;
    /** the same as `id` */
    source_object_id: number;
    source_id: number;
    name: string;
    description: string | null;
    query: string;
    compiled_query: null;
    /** as the source last described them; empty until it did */
    columns: Schemas["Column"][];
    created_at: string;
    updated_at: string;
  };
  NewSync: {
    /** what people and destinations see */
    label?: string | null | undefined;
    operation: "upsert" | "update" | "insert" | "append" | "mirror" | "delete" | "create";
    /** true: schedules and other triggers start nothing */
    paused?: boolean | null | undefined;
    source_attributes: Schemas["SyncSourceInput"];
    destination_attributes: Schemas["SyncDestinationInput"];
    mappings: Schemas["MappingInput"][];
    mode?:
      | {
          type?: "triggered" | undefined;
          triggers?:
            | {
                schedule?:
                  | {
                      frequency?:
                        | "never"
                        | "continuous"
                        | "quarter_hourly"
                        | "hourly"
                        | "daily"
                        | "weekly"
                        | "expression"
                        | ""
                        | null
                        | undefined;
                      /** of a weekly schedule: Sunday to Saturday */
                      day?: string | undefined;
                      /** 0 to 24, UTC; 24 means 0 */
                      hour?: number | null | undefined;
                      /** 0 to 59 */
                      minute?: number | null | undefined;
                      /** five fields, UTC; for frequency `expression` */
                      cron_expression?: string | null | undefined;
                    }
                  | null
                  | undefined;
                /** after whose success it runs */
                sync_sequence?:
                  | {
                      sync_id?: number | undefined;
                    }
                  | null
                  | undefined;
                /** kept and shown again; what starts the sync is a hook (`egret hook`) */
                dbt_cloud?: { [name: string]: unknown } | null | undefined;
                /** kept and shown again; what starts the sync is a hook (`egret hook`) */
                fivetran?: { [name: string]: unknown } | null | undefined;
              }
            | null
            | undefined;
        }
      | null
      | undefined;
    /** the same as `mode.triggers`, which counts before */
    triggers?:
      | {
          schedule?:
            | {
                frequency?:
                  | "never"
                  | "continuous"
                  | "quarter_hourly"
                  | "hourly"
                  | "daily"
                  | "weekly"
                  | "expression"
                  | ""
                  | null
                  | undefined;
                /** of a weekly schedule: Sunday to Saturday */
                day?: string | undefined;
                /** 0 to 24, UTC; 24 means 0 */
                hour?: number | null | undefined;
                /** 0 to 59 */
                minute?: number | null | undefined;
                /** five fields, UTC; for frequency `expression` */
                cron_expression?: string | null | undefined;
              }
            | null
            | undefined;
          /** after whose success it runs */
          sync_sequence?:
            | {
                sync_id?: number | undefined;
              }
            | null
            | undefined;
          /** kept and shown again; what starts the sync is a hook (`egret hook`) */
          dbt_cloud?: { [name: string]: unknown } | null | undefined;
          /** kept and shown again; what starts the sync is a hook (`egret hook`) */
          fivetran?: { [name: string]: unknown } | null | undefined;
        }
      | null
      | undefined;
    /** older flat form; `mode` counts before */
    schedule_frequency?:
      | "never"
      | "continuous"
      | "quarter_hourly"
      | "hourly"
      | "daily"
      | "weekly"
      | "expression"
      | ""
      | null
      | undefined;
    /** of a weekly schedule: Sunday to Saturday */
    schedule_day?: string | undefined;
    schedule_hour?: number | null | undefined;
    schedule_minute?: number | null | undefined;
    cron_expression?: string | null | undefined;
    /** all of them; left out: failed runs and failed records; an empty list: none */
    alert_attributes?:
      | {
          type:
            | "FailureAlertConfiguration"
            | "InvalidRecordPercentAlertConfiguration"
            | "StatusAlertConfiguration"
            | "FullSyncTriggerAlertConfiguration"
            | "RuntimeAlertConfiguration"
            | "RecordCountDeviationAlertConfiguration";
          /** first_time when left out */
          send_for?: "first_time" | "every_time" | null | undefined;
          should_send_recovery?: boolean | null | undefined;
          /** of its type; numbers count as texts of digits too */
          options?: { [name: string]: unknown } | null | undefined;
        }[]
      | null
      | undefined;
    /** older form; alert_attributes counts before */
    failed_run_notifications_enabled?: boolean | null | undefined;
    /** older form; alert_attributes counts before */
    failed_record_notifications_enabled?: boolean | null | undefined;
    /** older form */
    failed_record_notifications_threshold_percent?: number | undefined;
    overlap_policy?: "skip" | "queue_one" | "" | null | undefined;
    historical_sync_operation?: "backfill_all_records" | "skip_current_records" | "" | null | undefined;
    field_behavior?: "specific_properties" | "sync_all_properties" | "" | null | undefined;
    field_normalization?:
      | "start_case"
      | "lower_case"
      | "upper_case"
      | "camel_case"
      | "snake_case"
      | "match_source_names"
      | ""
      | null
      | undefined;
    timestamp_format?: "space_separated" | "iso8601" | "" | null | undefined;
    high_water_mark_attribute?: string | null | undefined;
    send_full_record_on_delete?: boolean | null | undefined;
    split_rejected_batches?: boolean | null | undefined;
    max_delete_percent?: number | null | undefined;
    max_rejected_percent?: number | null | undefined;
    field_order?:
      | "alphabetical_column_name"
      | "mapping_order"
      | "source_column_order"
      | ""
      | null
      | undefined;
    /** only sync_updates_and_deletes is done */
    mirror_strategy?:
      | "sync_updates_and_deletes"
      | "sync_updates_and_nulls"
      | "upload_and_swap"
      | ""
      | null
      | undefined;
    sync_behavior_family?: string | null | undefined;
    /** kept and shown again; of its keys those count that are fields of a sync: overlap_policy, timestamp_format, send_full_record_on_delete, split_rejected_batches, max_delete_percent, max_rejected_percent */
    advanced_configuration?: { [name: string]: unknown } | null | undefined;
    /** older form of high_water_mark_attribute */
    high_water_mark_attributes?:
      | {
          use_high_water_mark_diff_type?: boolean | null | undefined;
          column_name?: string | null | undefined;
        }
      | null
      | undefined;
    /** true: everything is checked, and nothing is made */
    validate_only?: boolean | null | undefined;
  };
  Pagination: {
    total_records: number;
    per_page: number;
    prev_page: number | null;
    page: number;
    next_page: number | null;
    last_page: number;
    next_cursor: string | null;
  };
  Ping: {
    /** whether the answer was 2xx */
    accepted: boolean;
    /** as in the header X-Event-Id */
    event_id: string;
    http_status: number | null;
    /** why there was no answer */
    error: string | null;
    duration_ms: number;
    request_headers: { [name: string]: string | string[] };
    response_headers: { [name: string]: string | string[] } | null;
    /** its beginning */
    response_body: string | null;
    timing: Schemas["Timing"];
  };
  Record: {
    /** the key; null for rows whose key is NULL */
    identifier: string | null;
    /** the record as it was sent; null for a row that was set aside */
    record_payload?: unknown;
    operation: "upsert" | "update" | "insert" | "append" | "delete" | null;
    status: "succeeded" | "rejected" | "unavailable" | "pending" | "NULL" | "DUPLICATE" | "INVALID";
    status_message: string | null;
    batch_started_at: string | null;
    batch_completed_at: string | null;
    sync_configuration_id: number;
    sync_run_id: number;
    /** rows of the source that this stands for */
    rows: number;
    cursor: string;
  };
  RefreshKey: {
    refresh_key: number;
  };
  RefreshStatus: {
    status: "processing" | "completed";
  };
  Replay: {
    id: number;
    /** null: every webhook of the workspace */
    webhook_id: number | null;
    kind: "deliveries" | "missed_events";
    /** what was asked for */
    filter: { [name: string]: unknown };
    /** `requested` until it has ended */
    state: "requested" | "cancelling" | "completed" | "failed" | "cancelled";
    /** null: not counted yet */
    total: number | null;
    replayed: number;
    /** how many were passed over, by the reason */
    skipped: { [name: string]: number };
    /** 0 to 1; null: not counted yet */
    progress: number | null;
    rate_per_second: number;
    requested_by: string;
    cancelled_by: string | null;
    error: string | null;
    requested_at: string;
    updated_at: string;
    ended_at: string | null;
  };
  /** ours: rows that the next run sends again although they were accepted */
  Resend: {
    /** why the next run is a full sync */
    reasons: string[];
    /** so many; null: every row of the source */
    rows: number | null;
    /** why it cannot be told; then there may be rows or none */
    unknown: string | null;
  } | null;
  Segment: {
    id: number;
    name: string;
    source_id: number;
    dataset_id: number;
    record_count: number | null;
  };
  Source: {
    id: number;
    name: string;
    label: string | null;
    type: string;
    sync_engine: "basic" | "advanced";
    /** the credentials without the secret ones */
    connection_details: { [name: string]: unknown };
    /** whether nothing at all is written to the source */
    read_only_connection: boolean;
    /** null: never tested */
    last_test_succeeded: boolean | null;
    last_tested_at: string | null;
    created_at: string;
    updated_at: string;
  };
  SourceObject: Schemas["SourceTable"] | Schemas["Model"];
  SourceRefresh: {
    /** for the status of this refresh */
    refresh_key: number;
  };
  SourceRefreshStatus: {
    status: "processing" | "completed";
    /** false: what was known before still stands */
    succeeded: boolean;
    /** why it did not succeed */
    message: string | null;
  };
  SourceTable: {
    type: "table";
    id: number;
    /** the database */
    table_catalog: string;
    table_schema: string;
    table_name: string;
    columns: Schemas["Column"][];
  };
  SourceTest: {
    id: number;
    success: boolean;
    message: string;
    last_test_succeeded: boolean;
    last_tested_at: string;
  };
  SourceType: {
    service_name: string;
    label: string;
    documentation_slug: string;
    supported_sync_engines: string[];
    creatable_via_api: boolean;
    editable_via_api: boolean;
    creatable_via_connect_link: boolean;
    configuration_fields: {
      fields: Schemas["ConfigurationField"][];
    };
  };
  Sync: {
    id: number;
    label: string | null;
    /** its short name, as in egret.yaml and the CLI */
    resource_identifier: string;
    /** Ready: never run; else how the last run went */
    status: "Ready" | "Up to Date" | "Failing";
    operation: "upsert" | "update" | "insert" | "append" | "mirror" | "delete";
    paused: boolean;
    source_attributes: {
      connection_id: number;
      object: {
        type: "model" | "dataset" | "table";
        id: number;
        name: string;
        query?: string | undefined;
        table_catalog?: string | undefined;
        table_schema?: string | undefined;
        table_name?: string | undefined;
        created_at?: string | undefined;
        updated_at?: string | undefined;
      };
    };
    destination_attributes: {
      connection_id: number;
      object: string;
      lead_union_insert_to?: string | undefined;
    };
    mappings: Schemas["Mapping"][];
    mode: Schemas["SyncMode"];
    schedule_frequency:
      | "never"
      | "continuous"
      | "quarter_hourly"
      | "hourly"
      | "daily"
      | "weekly"
      | "expression";
    /** see mode.triggers.schedule.day */
    schedule_day: null;
    schedule_hour: number | null;
    schedule_minute: number | null;
    cron_expression: string | null;
    alert_attributes: Schemas["AlertConfiguration"][];
    failed_run_notifications_enabled: boolean;
    failed_record_notifications_enabled: boolean;
    failed_record_notifications_threshold_percent: number;
    field_behavior: "specific_properties" | "sync_all_properties";
    field_normalization: string | null;
    field_order: string;
    mirror_strategy: string | null;
    historical_sync_operation: string | null;
    high_water_mark_attribute: string | null;
    sync_behavior_family: string | null;
    advanced_configuration: { [name: string]: unknown } | null;
    overlap_policy: "skip" | "queue_one";
    timestamp_format: "space_separated" | "iso8601";
    send_full_record_on_delete: boolean;
    split_rejected_batches: boolean | null;
    max_delete_percent: number | null;
    max_rejected_percent: number | null;
    /** file: the next `egret apply` shows a change of it as a difference */
    managed_by: "file" | "api";
    last_run_id: number | null;
    last_run_at: string | null;
    next_run_at: string | null;
    created_at: string;
    updated_at: string;
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  SyncCancelRequestedEvent: Schemas["Event"] & {
    type: "sync.cancel_requested";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      /** of the command that asked for it */
      command_id: string;
      requested_by: string;
    };
  };
  SyncChanges: {
    /** what people and destinations see */
    label?: string | null | undefined;
    operation?: "upsert" | "update" | "insert" | "append" | "mirror" | "delete" | "create" | null | undefined;
    /** true: schedules and other triggers start nothing */
    paused?: boolean | null | undefined;
    source_attributes?: (Schemas["SyncSourceInput"] & { [name: string]: unknown }) | null | undefined;
    destination_attributes?:
      | (Schemas["SyncDestinationInput"] & { [name: string]: unknown })
      | null
      | undefined;
    mappings?: Schemas["MappingInput"][] | null | undefined;
    mode?:
      | {
          type?: "triggered" | undefined;
          triggers?:
            | {
                schedule?:
                  | {
                      frequency?:
                        | "never"
                        | "continuous"
                        | "quarter_hourly"
                        | "hourly"
                        | "daily"
                        | "weekly"
                        | "expression"
                        | ""
                        | null
                        | undefined;
                      /** of a weekly schedule: Sunday to Saturday */
                      day?: string | undefined;
                      /** 0 to 24, UTC; 24 means 0 */
                      hour?: number | null | undefined;
                      /** 0 to 59 */
                      minute?: number | null | undefined;
                      /** five fields, UTC; for frequency `expression` */
                      cron_expression?: string | null | undefined;
                    }
                  | null
                  | undefined;
                /** after whose success it runs */
                sync_sequence?:
                  | {
                      sync_id?: number | undefined;
                    }
                  | null
                  | undefined;
                /** kept and shown again; what starts the sync is a hook (`egret hook`) */
                dbt_cloud?: { [name: string]: unknown } | null | undefined;
                /** kept and shown again; what starts the sync is a hook (`egret hook`) */
                fivetran?: { [name: string]: unknown } | null | undefined;
              }
            | null
            | undefined;
        }
      | null
      | undefined;
    /** the same as `mode.triggers`, which counts before */
    triggers?:
      | {
          schedule?:
            | {
                frequency?:
                  | "never"
                  | "continuous"
                  | "quarter_hourly"
                  | "hourly"
                  | "daily"
                  | "weekly"
                  | "expression"
                  | ""
                  | null
                  | undefined;
                /** of a weekly schedule: Sunday to Saturday */
                day?: string | undefined;
                /** 0 to 24, UTC; 24 means 0 */
                hour?: number | null | undefined;
                /** 0 to 59 */
                minute?: number | null | undefined;
                /** five fields, UTC; for frequency `expression` */
                cron_expression?: string | null | undefined;
              }
            | null
            | undefined;
          /** after whose success it runs */
          sync_sequence?:
            | {
                sync_id?: number | undefined;
              }
            | null
            | undefined;
          /** kept and shown again; what starts the sync is a hook (`egret hook`) */
          dbt_cloud?: { [name: string]: unknown } | null | undefined;
          /** kept and shown again; what starts the sync is a hook (`egret hook`) */
          fivetran?: { [name: string]: unknown } | null | undefined;
        }
      | null
      | undefined;
    /** older flat form; `mode` counts before */
    schedule_frequency?:
      | "never"
      | "continuous"
      | "quarter_hourly"
      | "hourly"
      | "daily"
      | "weekly"
      | "expression"
      | ""
      | null
      | undefined;
    /** of a weekly schedule: Sunday to Saturday */
    schedule_day?: string | undefined;
    schedule_hour?: number | null | undefined;
    schedule_minute?: number | null | undefined;
    cron_expression?: string | null | undefined;
    /** all of them; left out: failed runs and failed records; an empty list: none */
    alert_attributes?:
      | {
          type:
            | "FailureAlertConfiguration"
            | "InvalidRecordPercentAlertConfiguration"
            | "StatusAlertConfiguration"
            | "FullSyncTriggerAlertConfiguration"
            | "RuntimeAlertConfiguration"
            | "RecordCountDeviationAlertConfiguration";
          /** first_time when left out */
          send_for?: "first_time" | "every_time" | null | undefined;
          should_send_recovery?: boolean | null | undefined;
          /** of its type; numbers count as texts of digits too */
          options?: { [name: string]: unknown } | null | undefined;
        }[]
      | null
      | undefined;
    /** older form; alert_attributes counts before */
    failed_run_notifications_enabled?: boolean | null | undefined;
    /** older form; alert_attributes counts before */
    failed_record_notifications_enabled?: boolean | null | undefined;
    /** older form */
    failed_record_notifications_threshold_percent?: number | undefined;
    overlap_policy?: "skip" | "queue_one" | "" | null | undefined;
    historical_sync_operation?: "backfill_all_records" | "skip_current_records" | "" | null | undefined;
    field_behavior?: "specific_properties" | "sync_all_properties" | "" | null | undefined;
    field_normalization?:
      | "start_case"
      | "lower_case"
      | "upper_case"
      | "camel_case"
      | "snake_case"
      | "match_source_names"
      | ""
      | null
      | undefined;
    timestamp_format?: "space_separated" | "iso8601" | "" | null | undefined;
    high_water_mark_attribute?: string | null | undefined;
    send_full_record_on_delete?: boolean | null | undefined;
    split_rejected_batches?: boolean | null | undefined;
    max_delete_percent?: number | null | undefined;
    max_rejected_percent?: number | null | undefined;
    field_order?:
      | "alphabetical_column_name"
      | "mapping_order"
      | "source_column_order"
      | ""
      | null
      | undefined;
    /** only sync_updates_and_deletes is done */
    mirror_strategy?:
      | "sync_updates_and_deletes"
      | "sync_updates_and_nulls"
      | "upload_and_swap"
      | ""
      | null
      | undefined;
    sync_behavior_family?: string | null | undefined;
    /** kept and shown again; of its keys those count that are fields of a sync: overlap_policy, timestamp_format, send_full_record_on_delete, split_rejected_batches, max_delete_percent, max_rejected_percent */
    advanced_configuration?: { [name: string]: unknown } | null | undefined;
    /** older form of high_water_mark_attribute */
    high_water_mark_attributes?:
      | {
          use_high_water_mark_diff_type?: boolean | null | undefined;
          column_name?: string | null | undefined;
        }
      | null
      | undefined;
    /** the same as mappings, which count before */
    field_mappings?: Schemas["MappingInput"][] | null | undefined;
    /** true: everything is checked, the answer tells what would be sent again, and nothing is changed */
    validate_only?: boolean | null | undefined;
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  SyncCheckedEvent: Schemas["Event"] & {
    type: "sync.checked";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      destination_id: number;
      full_sync: boolean;
      full_sync_reasons: string[];
    };
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  SyncCompletedEvent: Schemas["Event"] & {
    type: "sync.completed";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      /** every row of the model, invalid ones included */
      source_record_count: number | null;
      /** new or changed rows */
      source_record_updates: number | null;
      /** rows gone from the source (mirror) */
      source_record_deletes: number | null;
      /** rows with a NULL or repeated key */
      source_record_invalids: number | null;
      /** rows sent */
      records_processed: number | null;
      /** rows that the destination accepted */
      records_updated: number | null;
      /** rows that the destination rejected */
      records_failed: number | null;
      canceled: boolean;
      full_sync: boolean;
      error_code: string | null;
      error_message: string | null;
      error_detail: string | null;
      status: "ok" | "emergency";
    };
  };
  SyncDestinationInput: {
    connection_id: number;
    /** a destination has one object; its name is kept as it is written */
    object?: string | null | undefined;
    lead_union_insert_to?: string | null | undefined;
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  SyncFailedEvent: Schemas["Event"] & {
    type: "sync.failed";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      duration_ms: number;
      error_code: string | null;
      error_message: string | null;
    };
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  SyncLoadedEvent: Schemas["Event"] & {
    type: "sync.loaded";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      records_processed: number;
      records_updated: number;
      records_failed: number;
    };
  };
  SyncMode: {
    type: "triggered";
    triggers: {
      schedule?:
        | {
            frequency:
              | "never"
              | "continuous"
              | "quarter_hourly"
              | "hourly"
              | "daily"
              | "weekly"
              | "expression";
            day?: string | undefined;
            hour?: number | undefined;
            minute?: number | undefined;
            cron_expression?: string | undefined;
          }
        | undefined;
      sync_sequence?:
        | {
            sync_id: number;
          }
        | undefined;
      dbt_cloud?: { [name: string]: unknown } | undefined;
      fivetran?: { [name: string]: unknown } | undefined;
    };
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  SyncPlannedEvent: Schemas["Event"] & {
    type: "sync.planned";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      source_record_count: number;
      source_record_updates: number;
      source_record_deletes: number;
      source_record_invalids: number;
      batches: number;
      duration_ms: number;
    };
  };
  SyncPreview: {
    requests: {
      method: string;
      url: string;
      rows: number;
      body: string;
    }[];
    /** why rows among the first would be set aside */
    invalid: string[];
  };
  SyncRun: {
    id: number;
    sync_id: number;
    /** short name of the sync, as it was called then */
    sync_name: string;
    /** `working` from the beginning, also while it waits for its turn; a canceled run has `failed`, with `canceled` true */
    status: "working" | "completed" | "failed" | "skipped";
    /** rows in the source; null until they are counted */
    source_record_count: number | null;
    source_record_updates: number | null;
    source_record_deletes: number | null;
    source_record_invalids: number | null;
    /** the same as source_record_invalids */
    records_invalid: number | null;
    /** sent: updated and failed together */
    records_processed: number | null;
    /** accepted by the destination */
    records_updated: number | null;
    /** refused by the destination */
    records_failed: number | null;
    full_sync: boolean;
    full_sync_reasons: string[];
    canceled: boolean;
    error_code: string | null;
    error_message: string | null;
    error_detail: string | null;
    /** what it is doing, or did when it failed; left out once it completed */
    current_step?: string | undefined;
    sync_trigger_reason: {
      ui_tag: string;
      ui_detail: string;
    };
    scheduled_execution_time: string | null;
    created_at: string;
    updated_at: string;
    started_at: string | null;
    /** null until it has ended, however */
    completed_at: string | null;
    run_kind: "normal" | "dry" | "test";
    progress: Schemas["SyncRunProgress"];
    /** of a dry run that completed */
    dry_run?:
      | {
          /** rows to send whose key was never accepted */
          expected_creates: number;
          /** rows to send whose key was accepted before */
          expected_updates: number;
          /** keys that left the source and would be deleted */
          expected_deletes: number;
          /** requests without retries */
          batches: number;
          /** rows accepted before that are sent again because all rows are; null without a full sync */
          resends: number | null;
          /** keys that the destination accepted so far */
          remembered: number;
          /** the fuse by which the run would stop before it sends anything; null when none would */
          stopped_by: {
            error_code: string;
            error_message: string;
            error_detail: string | null;
          } | null;
        }
      | undefined;
    /** of a test run that completed */
    test?:
      | {
          outcome: "accepted" | "rejected" | "unavailable";
          /** null when no status line came back */
          http_status: number | null;
          /** without any body; null when accepted */
          error: string | null;
        }
      | undefined;
  };
  SyncRunEvent:
    | Schemas["SyncTriggeredEvent"]
    | Schemas["SyncSkippedEvent"]
    | Schemas["SyncStartedEvent"]
    | Schemas["SyncCheckedEvent"]
    | Schemas["SyncSnapshottedEvent"]
    | Schemas["SyncPlannedEvent"]
    | Schemas["SyncLoadedEvent"]
    | Schemas["SyncCancelRequestedEvent"]
    | Schemas["SyncCompletedEvent"]
    | Schemas["SyncSuccessEvent"]
    | Schemas["SyncFailedEvent"]
    | Schemas["TrialRequestedEvent"]
    | Schemas["TrialStartedEvent"]
    | Schemas["TrialCompletedEvent"]
    | Schemas["TrialFailedEvent"];
  /** as last heard from its worker */
  SyncRunProgress: {
    phase: "snapshotting" | "diffing" | "loading" | "committing";
    current_step: string;
    rows_read: number;
    records_planned: number | null;
    records_sent: number | null;
    records_failed: number | null;
    /** rows of this phase */
    rate_per_second: number | null;
    /** until this phase ends */
    time_left_ms: number | null;
  } | null;
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  SyncSkippedEvent: Schemas["Event"] & {
    type: "sync.skipped";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      command_id: string;
      sync_name: string;
      sync_trigger_reason: {
        ui_tag: string;
        ui_detail: string;
      };
      /** the tick it was scheduled for; null or left out when not scheduled */
      scheduled_execution_time?: string | null | undefined;
      /** the run of the sync that was under way */
      running_run_id: number;
    };
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  SyncSnapshottedEvent: Schemas["Event"] & {
    type: "sync.snapshotted";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      source_record_count: number;
      duration_ms: number;
    };
  };
  SyncSourceInput: {
    /** of the source; a model has its own */
    connection_id?: number | undefined;
    object: {
      /** model, dataset or table; model when left out */
      type?: string | null | undefined;
      id?: number | undefined;
      name?: string | null | undefined;
      table_catalog?: string | null | undefined;
      table_schema?: string | null | undefined;
      table_name?: string | null | undefined;
    };
    /** there are no segments */
    filter_segment_id?: unknown;
    /** there are no cohorts */
    cohort_id?: unknown;
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  SyncStartedEvent: Schemas["Event"] & {
    type: "sync.started";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      worker: string;
    };
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  SyncSuccessEvent: Schemas["Event"] & {
    type: "sync.success";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      duration_ms: number;
    };
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  SyncTriggeredEvent: Schemas["Event"] & {
    type: "sync.triggered";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      /** Nats-Msg-Id of the command, or its place in the command stream */
      command_id: string;
      sync_name: string;
      force_full_sync: boolean;
      /** max_delete_percent is passed over */
      allow_deletes?: boolean | undefined;
      /** max_rejected_percent is passed over */
      allow_rejects?: boolean | undefined;
      sync_trigger_reason: {
        ui_tag: string;
        ui_detail: string;
      };
      /** the tick it was scheduled for; null or left out when not scheduled */
      scheduled_execution_time?: string | null | undefined;
    };
  };
  TestRun: {
    id: number;
    sync_id: number;
    status: "working" | "completed" | "failed" | "skipped";
    outcome?: "accepted" | "rejected" | "unavailable" | undefined;
    /** null when no status line came back */
    http_status?: number | null | undefined;
    /** without any body; null when accepted */
    error?: string | null | undefined;
    error_code: string | null;
    error_message: string | null;
    error_detail: string | null;
    created_at: string;
    completed_at: string | null;
    /** as it was sent, secrets replaced; null before, and past its retention */
    request: {
      method: string;
      url: string;
      headers: { [name: string]: string | string[] };
      body: string;
    } | null;
    response: {
      http_status: number | null;
      headers: { [name: string]: string | string[] } | null;
      body: string | null;
      error: string | null;
      duration_ms: number;
    } | null;
  };
  /** null: not needed (a kept connection), or not reached */
  Timing: {
    dns_ms: number | null;
    connect_ms: number | null;
    tls_ms: number | null;
    first_byte_ms: number | null;
    total_ms: number;
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  TrialCompletedEvent: Schemas["Event"] & {
    type: "trial.completed";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      /** every row of the model, invalid ones included */
      source_record_count: number | null;
      /** new or changed rows */
      source_record_updates: number | null;
      /** rows gone from the source (mirror) */
      source_record_deletes: number | null;
      /** rows with a NULL or repeated key */
      source_record_invalids: number | null;
      /** rows sent */
      records_processed: number | null;
      /** rows that the destination accepted */
      records_updated: number | null;
      /** rows that the destination rejected */
      records_failed: number | null;
      destination_id: number;
      full_sync: boolean;
      full_sync_reasons: string[];
      /** what a run would do; null for a test */
      dry: {
        /** rows to send whose key was never accepted */
        expected_creates: number;
        /** rows to send whose key was accepted before */
        expected_updates: number;
        /** keys that left the source and would be deleted */
        expected_deletes: number;
        /** requests without retries */
        batches: number;
        /** rows accepted before that are sent again because all rows are; null without a full sync */
        resends: number | null;
        /** keys that the destination accepted so far */
        remembered: number;
        /** the fuse by which the run would stop before it sends anything; null when none would */
        stopped_by: {
          error_code: string;
          error_message: string;
          error_detail: string | null;
        } | null;
      } | null;
      /** how the one record fared; null for a dry run */
      test: {
        outcome: "accepted" | "rejected" | "unavailable";
        /** null when no status line came back */
        http_status: number | null;
        /** without any body; null when accepted */
        error: string | null;
      } | null;
      duration_ms: number;
    };
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  TrialFailedEvent: Schemas["Event"] & {
    type: "trial.failed";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      canceled: boolean;
      /** of the command that canceled it */
      command_id: string | null;
      error_code: string;
      error_message: string;
      error_detail: string | null;
    };
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  TrialRequestedEvent: Schemas["Event"] & {
    type: "trial.requested";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      /** dry: what would a run do; test: one record is sent */
      run_kind: "dry" | "test";
      command_id: string;
      sync_name: string;
      force_full_sync: boolean;
      sync_trigger_reason: {
        ui_tag: string;
        ui_detail: string;
      };
    };
  };
  /** A fact of the log: CloudEvents 1.0, with a place and a state. */
  TrialStartedEvent: Schemas["Event"] & {
    type: "trial.started";
    data: {
      workspace_id: number;
      sync_id: number;
      sync_run_id: number;
      worker: string;
    };
  };
  Webhook: {
    id: number;
    name: string;
    description: string | null;
    endpoint: string;
    events: (
      | "sync.triggered"
      | "sync.started"
      | "sync.completed"
      | "sync.success"
      | "sync.failed"
      | "sync.alert.raised"
      | "sync.alert.resolved"
    )[];
    enabled: boolean;
    /** `gone` and `exhausted`: by itself; `operator`: by PATCH or `egret webhook disable`; null where its file does it */
    disabled_reason: "gone" | "exhausted" | "operator" | null;
    disabled_at: string | null;
    paused: boolean;
    honor_retry_after: boolean;
    auto_disable_after_exhausted: number | null;
    disable_on_gone: boolean;
    /** whether it has TLS settings of its own */
    has_tls: boolean;
    /** until then the secret before the last rotation signs too */
    previous_secret_until: string | null;
    health: Schemas["Health"];
    last_success_at: string | null;
    last_failure_at: string | null;
    created_at: string;
    updated_at: string;
  };
  WebhookWithSecret: Schemas["Webhook"] & {
    /** key of the signatures; shown this once */
    secret: string;
  };
  Workspace: {
    id: number;
    name: string;
    organization_id: number;
    notification_emails: string[];
    created_at: string;
  };
  WorkspaceMade: Schemas["Workspace"] & {
    /** only with `return_workspace_api_key` */
    api_key?: string | undefined;
  };
}

/** What each operation takes (`input`) and answers (`answer`). */
export interface Operations {
  /**
   * Cancel a replay
   * What it began again by then stays begun. `cancelling` until a worker has seen the wish.
   * `POST /replays/{id}/cancel`, scope operate
   */
  cancelReplay: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "cancelled";
      data: Schemas["Replay"];
    };
  };
  /**
   * Cancel a run
   * Nothing new is sent; requests under way end and count. One that no worker has taken ends at once, any other soon: as `failed`, with `canceled` true. One that has ended answers 409, and nothing changes.
   * `POST /sync_runs/{id}/cancel`, scope operate
   */
  cancelSyncRun: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "cancelled";
      data: { [name: string]: unknown };
    };
  };
  /**
   * Create a key
   * The key itself is in this answer and nowhere else. `read` sees, `operate` also starts and cancels, `admin` also configures.
   * `POST /api_keys`, scope admin
   */
  createApiKey: {
    input: {
      body: {
        name: string;
        /** each includes those before it; `admin` unless given */
        scopes?: ("read" | "operate" | "admin")[] | undefined;
        expires_at?: string | null | undefined;
      };
    };
    answer: {
      status: "created";
      data: Schemas["ApiKeyMade"];
    };
  };
  /**
   * Create a dataset
   * The source has to answer: it says whether the query is one SELECT, and which columns it has.
   * `POST /datasets`, scope admin
   */
  createDataset: {
    input: {
      body: {
        name: string;
        type?: "sql" | undefined;
        /** exactly one SELECT or WITH statement */
        query: string;
        source_id: number;
        description?: string | null | undefined;
      };
    };
    answer: {
      status: "created";
      data: {
        id: number;
      };
    };
  };
  /**
   * Create a destination
   * Its connection is tested; a test that fails is shown by GET and keeps nothing from being made.
   * `POST /destinations`, scope admin
   */
  createDestination: {
    input: {
      body: {
        type?: string | null | undefined;
        service_connection: {
          type: "webhook" | "http_request";
          name: string;
          /** settings and secrets by name, as GET /connectors lists them. Numbers and truth values may be texts; "" and null mean none */
          credentials?: { [name: string]: unknown } | null | undefined;
        };
      };
    };
    answer: {
      status: "created";
      data: {
        id: number;
      };
    };
  };
  /**
   * Create a link to a page on which a person makes a destination
   * `POST /destination_connect_links`, scope admin
   */
  createDestinationConnectLink: {
    input: {
      body: {
        type: "webhook" | "http_request";
        /** where the person goes after saving, with the id of what was saved added. The page can be framed by its origin alone; left out, by any */
        redirect_uri?: string | undefined;
        /** seconds */
        expires_in?: number | undefined;
      };
    };
    answer: {
      status: "created";
      data: Schemas["Link"];
    };
  };
  /**
   * Create a link to a page on which a person enters a destination's credentials again
   * `POST /destinations/{id}/connect_links`, scope admin
   */
  createDestinationCredentialsLink: {
    input: {
      path: {
        id: number;
      };
      body?:
        | {
            /** where the person goes after saving, with the id of what was saved added. The page can be framed by its origin alone; left out, by any */
            redirect_uri?: string | undefined;
            /** seconds */
            expires_in?: number | undefined;
          }
        | undefined;
    };
    answer: {
      status: "created";
      data: Schemas["Link"];
    };
  };
  /**
   * Create a link to a page that says that there are no segments
   * `POST /segment_management_links`, scope admin
   */
  createSegmentManagementLink: {
    input: {
      body?:
        | {
            /** where the person goes after saving, with the id of what was saved added. The page can be framed by its origin alone; left out, by any */
            redirect_uri?: string | undefined;
            /** seconds */
            expires_in?: number | undefined;
          }
        | undefined;
    };
    answer: {
      status: "created";
      data: Schemas["Link"];
    };
  };
  /**
   * Create a source
   * Nothing is connected: test it with POST /sources/{id}/test.
   * `POST /sources`, scope admin
   */
  createSource: {
    input: {
      body: {
        connection: {
          type: "postgres";
          name?: string | null | undefined;
          /** the same as `name`, which comes first */
          label?: string | null | undefined;
          /** hostname, port, database, user, password, sslmode; or `url`, an address postgres://user:password@host:port/database. Numbers may be texts and texts numbers; "" and null mean left out */
          credentials?: { [name: string]: unknown } | null | undefined;
          /** where is kept what was sent: in Egret's Postgres, or in a schema of the source */
          sync_engine?: "basic" | "advanced" | null | undefined;
          /** that schema, for sync_engine advanced; `egret` when left out */
          state_schema?: string | null | undefined;
        };
      };
    };
    answer: {
      status: "created";
      data: {
        id: number;
      };
    };
  };
  /**
   * Create a link to a page on which a person makes a source
   * `POST /source_connect_links`, scope admin
   */
  createSourceConnectLink: {
    input: {
      body: {
        type: "postgres";
        /** where the person goes after saving, with the id of what was saved added. The page can be framed by its origin alone; left out, by any */
        redirect_uri?: string | undefined;
        /** seconds */
        expires_in?: number | undefined;
      };
    };
    answer: {
      status: "created";
      data: Schemas["Link"];
    };
  };
  /**
   * Create a link to a page on which a person enters a source's credentials again
   * `POST /sources/{id}/connect_links`, scope admin
   */
  createSourceCredentialsLink: {
    input: {
      path: {
        id: number;
      };
      body?:
        | {
            /** where the person goes after saving, with the id of what was saved added. The page can be framed by its origin alone; left out, by any */
            redirect_uri?: string | undefined;
            /** seconds */
            expires_in?: number | undefined;
          }
        | undefined;
    };
    answer: {
      status: "created";
      data: Schemas["Link"];
    };
  };
  /**
   * Not found: there are no segments
   * `POST /sources/{id}/filter_segments/{segment_id}/segment_management_links`, scope admin
   */
  createSourceFilterSegmentSegmentManagementLink: {
    input: {
      path: {
        id: number;
        segment_id: number;
      };
      body?:
        | {
            /** where the person goes after saving, with the id of what was saved added. The page can be framed by its origin alone; left out, by any */
            redirect_uri?: string | undefined;
            /** seconds */
            expires_in?: number | undefined;
          }
        | undefined;
    };
    answer: {
      status: "created";
      data: Schemas["Link"];
    };
  };
  /**
   * Create a model
   * The source has to answer: it says whether the query is one SELECT, and which columns it has.
   * `POST /sources/{id}/models`, scope admin
   */
  createSourceModel: {
    input: {
      path: {
        id: number;
      };
      body: {
        name: string;
        /** exactly one SELECT or WITH statement */
        query: string;
        description?: string | null | undefined;
      };
    };
    answer: {
      status: "created";
      data: {
        id: number;
      };
    };
  };
  /**
   * Create a sync
   * The source is asked whether the columns are there. The key travels as `unique_id`, whatever `to` says of it; map the column a second time to send it under another name too. A new sync has the status 200 (some clients ask for exactly that) or 201, as EGRET_API_SYNC_CREATED_STATUS says. `preserve_values`, `lookup_object`, `generate_field` and their like are kept and shown again, and change nothing.
   * `POST /syncs`, scope admin
   */
  createSync: {
    input: {
      body: Schemas["NewSync"];
    };
    answer:
      | {
          status: "created";
          data: {
            sync_id: number;
          };
        }
      | {
          status: "success";
          data: {
            valid: true;
          };
        }
      | {
          status: "created";
          data: {
            sync_id: number;
          };
        };
  };
  /**
   * Create a link to a page on which a person edits a sync
   * `POST /syncs/{id}/connect_links`, scope admin
   */
  createSyncEditLink: {
    input: {
      path: {
        id: number;
      };
      body?:
        | {
            /** where the person goes after saving, with the id of what was saved added. The page can be framed by its origin alone; left out, by any */
            redirect_uri?: string | undefined;
            /** seconds */
            expires_in?: number | undefined;
          }
        | undefined;
    };
    answer: {
      status: "created";
      data: Schemas["Link"];
    };
  };
  /**
   * Create a link to a page on which a person makes a sync
   * `POST /sync_management_links`, scope admin
   */
  createSyncManagementLink: {
    input: {
      body?:
        | {
            /** where the person goes after saving, with the id of what was saved added. The page can be framed by its origin alone; left out, by any */
            redirect_uri?: string | undefined;
            /** seconds */
            expires_in?: number | undefined;
          }
        | undefined;
    };
    answer: {
      status: "created";
      data: Schemas["Link"];
    };
  };
  /**
   * Create a webhook
   * `secret` is shown this once; every request is signed with it (header X-Signature).
   * `POST /webhooks`, scope admin
   */
  createWebhook: {
    input: {
      body: {
        name: string;
        /** https:// address */
        endpoint: string;
        /** left out: all of them */
        events?:
          | (
              | "sync.triggered"
              | "sync.started"
              | "sync.completed"
              | "sync.success"
              | "sync.failed"
              | "sync.alert.raised"
              | "sync.alert.resolved"
            )[]
          | null
          | undefined;
        description?: string | null | undefined;
        /** false: no deliveries, and what waits is dropped */
        enabled?: boolean | undefined;
        /** disable it after so many deliveries in a row were lost; null: never */
        auto_disable_after_exhausted?: number | null | undefined;
        /** disable it when it answers 410 Gone */
        disable_on_gone?: boolean | undefined;
        /** wait as long as its Retry-After asks, up to 15 minutes */
        honor_retry_after?: boolean | undefined;
        /** PEM texts; never shown again. null: none */
        tls?:
          | {
              ca?: string | undefined;
              client_certificate?: string | undefined;
              client_key?: string | undefined;
            }
          | null
          | undefined;
      };
    };
    answer: {
      status: "created";
      data: Schemas["WebhookWithSecret"];
    };
  };
  /**
   * Deliver again what a filter finds, or what the webhook missed
   * Ids and bytes stay the same, so receivers that know X-Event-Id see what they had before. It takes what was created before now, in the background, and goes on after a crash.
   * `POST /webhooks/{id}/replays`, scope operate
   */
  createWebhookReplay: {
    input: {
      path: {
        id: number;
      };
      body?:
        | {
            /** `deliveries`: ended ones are begun again; `missed_events`: events for which there is no delivery, for instance because the webhook was disabled then. Those go with `since` and `until` alone */
            kind?: "deliveries" | "missed_events" | undefined;
            /** how they ended; `ended` is both; left out: dead */
            state?: "dead" | "delivered" | "ended" | undefined;
            event?:
              | "sync.triggered"
              | "sync.started"
              | "sync.completed"
              | "sync.success"
              | "sync.failed"
              | "sync.alert.raised"
              | "sync.alert.resolved"
              | null
              | undefined;
            sync_id?: number | undefined;
            sync_run_id?: number | undefined;
            /** of the last attempt */
            http_status?: number | null | undefined;
            since?: string | null | undefined;
            until?: string | null | undefined;
            /** deliveries begun per second at most */
            rate_per_second?: number | undefined;
            /** says how many there would be, and begins none */
            validate_only?: boolean | undefined;
          }
        | undefined;
    };
    answer:
      | {
          status: "success";
          data: {
            would_replay: number;
          };
        }
      | {
          status: "created";
          data: Schemas["Replay"];
        };
  };
  /**
   * Create a workspace
   * `POST /workspaces`, scope admin
   */
  createWorkspace: {
    input: {
      body: {
        name: string;
        notification_emails?: string[] | undefined;
        return_workspace_api_key?: boolean | undefined;
      };
    };
    answer: {
      status: "created";
      data: Schemas["WorkspaceMade"];
    };
  };
  /**
   * Revoke a key, for good
   * Other processes of Egret notice within a few seconds. A key may revoke itself.
   * `DELETE /api_keys/{id}`, scope admin
   */
  deleteApiKey: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "deleted";
    };
  };
  /**
   * Delete a dataset
   * One that a sync uses stays (409).
   * `DELETE /datasets/{id}`, scope admin
   */
  deleteDataset: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "deleted";
    };
  };
  /**
   * Delete a destination
   * One that a sync uses stays (409).
   * `DELETE /destinations/{id}`, scope admin
   */
  deleteDestination: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "deleted";
    };
  };
  /**
   * Delete one of the destination connect links
   * `DELETE /destination_connect_links/{id}`, scope admin
   */
  deleteDestinationConnectLink: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "deleted";
    };
  };
  /**
   * Delete one of the segment management links
   * `DELETE /segment_management_links/{id}`, scope admin
   */
  deleteSegmentManagementLink: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "deleted";
    };
  };
  /**
   * Delete a source
   * One that a model or sync uses stays (409).
   * `DELETE /sources/{id}`, scope admin
   */
  deleteSource: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "deleted";
    };
  };
  /**
   * Delete one of the source connect links
   * `DELETE /source_connect_links/{id}`, scope admin
   */
  deleteSourceConnectLink: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "deleted";
    };
  };
  /**
   * Delete a segment
   * Always 404: Egret has no segments.
   * `DELETE /sources/{id}/filter_segments/{segment_id}`, scope admin
   */
  deleteSourceFilterSegment: {
    input: {
      path: {
        id: number;
        segment_id: number;
      };
    };
    answer: {
      status: "deleted";
    };
  };
  /**
   * Delete a model
   * One that a sync uses stays (409).
   * `DELETE /sources/{id}/models/{mid}`, scope admin
   */
  deleteSourceModel: {
    input: {
      path: {
        id: number;
        mid: number;
      };
    };
    answer: {
      status: "deleted";
    };
  };
  /**
   * Delete a sync
   * With what it remembers of the rows that it sent; its runs can still be shown. Syncs that run after it do so no longer. While a run is under way this is 409.
   * `DELETE /syncs/{id}`, scope admin
   */
  deleteSync: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "deleted";
    };
  };
  /**
   * Delete one of the sync management links
   * `DELETE /sync_management_links/{id}`, scope admin
   */
  deleteSyncManagementLink: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "deleted";
    };
  };
  /**
   * Delete a webhook
   * What waits for it is dropped; what was delivered stays listed as long as deliveries are kept.
   * `DELETE /webhooks/{id}`, scope admin
   */
  deleteWebhook: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "deleted";
    };
  };
  /**
   * Delete an empty workspace, with its keys
   * `DELETE /workspaces/{id}`, scope admin
   */
  deleteWorkspace: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "deleted";
    };
  };
  /**
   * Dry run
   * Works out what a run would do now; nothing is sent, remembered or told to webhooks. GET /sync_runs/{id} has the figures under `dry_run` once it has completed.
   * `POST /syncs/{id}/dry_run`, scope operate
   */
  dryRunSync: {
    input: {
      path: {
        id: number;
      };
      body?:
        | {
            force_full_sync?: boolean | null | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: {
        sync_run_id: number;
      };
    };
  };
  /**
   * Get an alert
   * `GET /alerts/{id}`, scope read
   */
  getAlert: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["Alert"];
    };
  };
  /**
   * Get a key, without the key itself
   * `GET /api_keys/{id}`, scope admin
   */
  getApiKey: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["ApiKey"];
    };
  };
  /**
   * Show a dataset
   * `GET /datasets/{id}`, scope read
   */
  getDataset: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["Dataset"];
    };
  };
  /**
   * Show a destination
   * `GET /destinations/{id}`, scope read
   */
  getDestination: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["Destination"];
    };
  };
  /**
   * Show a batch that was sent to a destination
   * `GET /destinations/{id}/deliveries/{did}`, scope read
   */
  getDestinationDelivery: {
    input: {
      path: {
        id: number;
        did: string;
      };
    };
    answer: {
      status: "success";
      data: Schemas["DetailedDelivery"];
    };
  };
  /**
   * Show one object of a destination
   * `GET /destinations/{id}/objects/{full_name}`, scope read
   */
  getDestinationObject: {
    input: {
      path: {
        id: number;
        full_name: string;
      };
    };
    answer: {
      status: "success";
      data: Schemas["DestinationObject"];
    };
  };
  /**
   * Show how far a refresh of the fields of an object is
   * `GET /destinations/{id}/objects/{full_name}/refresh_fields_status`, scope read
   */
  getDestinationObjectRefreshFieldsStatus: {
    input: {
      path: {
        id: number;
        full_name: string;
      };
      query?:
        | {
            /** of the refresh; any is taken */
            refresh_key?: string | undefined;
          }
        | undefined;
    };
    answer: Schemas["RefreshStatus"];
  };
  /**
   * Show how far a refresh of the objects of a destination is
   * `GET /destinations/{id}/refresh_objects_status`, scope read
   */
  getDestinationRefreshObjectsStatus: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** of the refresh; any is taken */
            refresh_key?: string | undefined;
          }
        | undefined;
    };
    answer: Schemas["RefreshStatus"];
  };
  /**
   * Show a record of an entity
   * Always 404: Egret has no entities.
   * `GET /entities/{id}/record`, scope read
   */
  getEntityRecord: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            record_id?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: { [name: string]: unknown };
    };
  };
  /**
   * The workspace of this key
   * `GET /workspace`, scope read
   */
  getOwnWorkspace: {
    input: object;
    answer: {
      status: "success";
      data: Schemas["Workspace"];
    };
  };
  /**
   * Show a replay and how far it is
   * `GET /replays/{id}`, scope read
   */
  getReplay: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["Replay"];
    };
  };
  /**
   * Show a source
   * `GET /sources/{id}`, scope read
   */
  getSource: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["Source"];
    };
  };
  /**
   * Show a model
   * `GET /sources/{id}/models/{mid}`, scope read
   */
  getSourceModel: {
    input: {
      path: {
        id: number;
        mid: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["Model"];
    };
  };
  /**
   * Show how a refresh of a model's columns went
   * `GET /sources/{id}/models/{mid}/refresh_columns_status`, scope read
   */
  getSourceModelRefreshColumnsStatus: {
    input: {
      path: {
        id: number;
        mid: number;
      };
      query?:
        | {
            /** left out: the last one */
            refresh_key?: number | undefined;
          }
        | undefined;
    };
    answer: Schemas["SourceRefreshStatus"];
  };
  /**
   * Show how a refresh of a source's tables went
   * `GET /sources/{id}/refresh_tables_status`, scope read
   */
  getSourceRefreshTablesStatus: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** left out: the last one */
            refresh_key?: number | undefined;
          }
        | undefined;
    };
    answer: Schemas["SourceRefreshStatus"];
  };
  /**
   * Show a table of a source
   * `GET /sources/{id}/tables/{tid}`, scope read
   */
  getSourceTable: {
    input: {
      path: {
        id: number;
        tid: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["SourceTable"];
    };
  };
  /**
   * Show how a refresh of a table's columns went
   * `GET /sources/{id}/tables/{tid}/refresh_columns_status`, scope read
   */
  getSourceTableRefreshColumnsStatus: {
    input: {
      path: {
        id: number;
        tid: number;
      };
      query?:
        | {
            /** left out: the last one */
            refresh_key?: number | undefined;
          }
        | undefined;
    };
    answer: Schemas["SourceRefreshStatus"];
  };
  /**
   * Show a sync
   * `GET /syncs/{id}`, scope read
   */
  getSync: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["Sync"];
    };
  };
  /**
   * Show a run
   * Can be read from the moment the trigger was answered. `status` is `working` until the run has ended, then `completed`, `failed` (canceled ones too) or `skipped`; from then on `completed_at` is set.
   * `GET /sync_runs/{id}`, scope read
   */
  getSyncRun: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["SyncRun"];
    };
  };
  /**
   * Count the rows of a run
   * `GET /sync_runs/{id}/records_count`, scope read
   */
  getSyncRunRecordsCount: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** `invalid` is NULL, DUPLICATE and INVALID together */
            status?:
              | "succeeded"
              | "rejected"
              | "unavailable"
              | "pending"
              | "NULL"
              | "DUPLICATE"
              | "INVALID"
              | "invalid"
              | undefined;
            operation?: "upsert" | "update" | "insert" | "append" | "delete" | undefined;
            /** the exact key */
            primary_identifier?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: {
        record_count: number;
      }[];
    };
  };
  /**
   * Get addresses from which all rows of an ended run can be fetched
   * Each address works without a token for 60 minutes: it is as secret as the rows.
   * `GET /sync_runs/{id}/records_export`, scope read
   */
  getSyncRunRecordsExport: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** `invalid` is NULL, DUPLICATE and INVALID together */
            status?:
              | "succeeded"
              | "rejected"
              | "unavailable"
              | "pending"
              | "NULL"
              | "DUPLICATE"
              | "INVALID"
              | "invalid"
              | undefined;
            operation?: "upsert" | "update" | "insert" | "append" | "delete" | undefined;
            /** the exact key */
            primary_identifier?: string | undefined;
            /** one JSON object a line, or CSV with a header */
            format?: "ndjson" | "csv" | undefined;
            /** of CSV: a value that a spreadsheet would run gets ' in front of it */
            escape_formulas?: "true" | "false" | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      urls: string[];
      expires_at: string;
    };
  };
  /**
   * Show a test run
   * How the record fared, with the request and what the destination answered.
   * `GET /syncs/{id}/test_runs/{test_run_id}`, scope operate
   */
  getSyncTestRun: {
    input: {
      path: {
        id: number;
        test_run_id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["TestRun"];
    };
  };
  /**
   * Show a webhook
   * `GET /webhooks/{id}`, scope read
   */
  getWebhook: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["Webhook"];
    };
  };
  /**
   * Show a delivery to a webhook
   * With every attempt, and headers, answer and timing of each as long as those are kept.
   * `GET /webhook_deliveries/{did}`, scope read
   */
  getWebhookDelivery: {
    input: {
      path: {
        did: string;
      };
    };
    answer: {
      status: "success";
      data: Schemas["DetailedDelivery"];
    };
  };
  /**
   * Get a workspace
   * `GET /workspaces/{id}`, scope read
   */
  getWorkspace: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["Workspace"];
    };
  };
  /**
   * Read a workspace's key
   * The one key of a workspace that can be read back, made when it is first asked for; it may do everything in it. Note that the answer stands by itself, not under `data`.
   * `GET /workspaces/{id}/api_key`, scope admin
   */
  getWorkspaceApiKey: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      api_key: string;
    };
  };
  /**
   * List the events of an alert
   * How often it was raised and how it was resolved, from the log, oldest first.
   * `GET /alerts/{id}/events`, scope read
   */
  listAlertEvents: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** as it happened: `desc` begins with the latest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["AlertEvent"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List alerts
   * `GET /alerts`, scope read
   */
  listAlerts: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
            status?: "open" | "resolved" | undefined;
            /** only those of this sync */
            sync_id?: number | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Alert"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the runs of all syncs
   * Newest first unless `order` says otherwise; those of syncs that were deleted too.
   * `GET /sync_runs`, scope read
   */
  listAllSyncRuns: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
            /** ours: dry and test runs are listed when asked for */
            run_kind?: "normal" | "dry" | "test" | "all" | undefined;
            /** only those of this sync */
            sync_id?: number | undefined;
            status?: "working" | "completed" | "failed" | "skipped" | undefined;
            /** created then or later */
            since?: string | undefined;
            /** created before */
            until?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["SyncRun"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List keys, also revoked and expired ones
   * `GET /api_keys`, scope admin
   */
  listApiKeys: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["ApiKey"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List writing requests
   * Every request of this workspace's keys that was to change something, and every form that was sent with one of its links; also refused ones. Without what was sent.
   * `GET /audit_log`, scope admin
   */
  listAuditLog: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["AuditEntry"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the kinds of destinations
   * `configuration_fields` names what the credentials of a destination of that kind may hold.
   * `GET /connectors`, scope read
   */
  listConnectors: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Connector"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List datasets
   * `GET /datasets`, scope read
   */
  listDatasets: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
            /** `sql` shows all; there are no others */
            type?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Dataset"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List destination connect links
   * Those that still work come with their address: that is why the scope is admin.
   * `GET /destination_connect_links`, scope admin
   */
  listDestinationConnectLinks: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Link"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the batches that were sent to a destination
   * `GET /destinations/{id}/deliveries`, scope read
   */
  listDestinationDeliveries: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`, and as quick on the last page as on the first: `pagination.next_cursor` */
            cursor?: string | undefined;
            state?: "pending" | "retrying" | "delivered" | "dead" | undefined;
            sync_id?: number | undefined;
            sync_run_id?: number | undefined;
            /** of the last attempt that was answered */
            http_status?: number | undefined;
            /** created then or later */
            since?: string | undefined;
            /** created before */
            until?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Delivery"][];
      pagination: Schemas["Pagination"] & {
        /** false: there are at least so many; counting stops at 10000 */
        total_is_exact: boolean;
      };
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List what a destination can be sent
   * One object, which takes any field beside its key `unique_id`.
   * `GET /destinations/{id}/objects`, scope read
   */
  listDestinationObjects: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["DestinationObject"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List destinations
   * `GET /destinations`, scope read
   */
  listDestinations: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Destination"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List entities
   * Always empty: Egret has no entities. Rows as they were sent: GET /sync_runs/{id}/records.
   * `GET /entities`, scope read
   */
  listEntities: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: {
        id: number;
        name: string;
      }[];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the models of all sources
   * `GET /models`, scope read
   */
  listModels: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Model"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List replays
   * `GET /replays`, scope read
   */
  listReplays: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Replay"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List segment management links
   * Those that still work come with their address: that is why the scope is admin.
   * `GET /segment_management_links`, scope admin
   */
  listSegmentManagementLinks: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Link"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List source connect links
   * Those that still work come with their address: that is why the scope is admin.
   * `GET /source_connect_links`, scope admin
   */
  listSourceConnectLinks: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Link"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the segments of a source
   * Always empty: Egret has no segments.
   * `GET /sources/{id}/filter_segments`, scope read
   */
  listSourceFilterSegments: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Segment"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
      allowances: { [name: string]: unknown };
    };
  };
  /**
   * List the models of a source
   * `GET /sources/{id}/models`, scope read
   */
  listSourceModels: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Model"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the tables, views and models of a source
   * Tables and views as of the last refresh; the first time somebody asks, the source itself is asked once. Their ids last.
   * `GET /sources/{id}/objects`, scope read
   */
  listSourceObjects: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["SourceObject"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the kinds of sources
   * `configuration_fields` names what the credentials of a source of that kind may hold. Not paged.
   * `GET /source_types`, scope read
   */
  listSourceTypes: {
    input: object;
    answer: {
      status: "success";
      data: Schemas["SourceType"][];
    };
  };
  /**
   * List sources
   * `GET /sources`, scope read
   */
  listSources: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Source"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the latest requests to a sync's destination, with the answers
   * Newest first, at most 100, as far as exchanges are kept (at most 7 days).
   * `GET /syncs/{id}/api_calls`, scope read
   */
  listSyncApiCalls: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** at most 100; more is read as 100 */
            limit?: number | undefined;
            /** only those of this run */
            sync_run_id?: number | undefined;
            /** `succeeded` (2xx), `failed` (anything else), a status, or a class such as 4xx */
            status?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["ApiCall"][];
    };
  };
  /**
   * List sync management links
   * Those that still work come with their address: that is why the scope is admin.
   * `GET /sync_management_links`, scope admin
   */
  listSyncManagementLinks: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Link"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the deliveries of a run
   * Its batches and what webhooks were told of it; those to targets that were deleted meanwhile too.
   * `GET /sync_runs/{id}/deliveries`, scope read
   */
  listSyncRunDeliveries: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`, and as quick on the last page as on the first: `pagination.next_cursor` */
            cursor?: string | undefined;
            state?: "pending" | "retrying" | "delivered" | "dead" | undefined;
            /** of the last attempt that was answered */
            http_status?: number | undefined;
            /** created then or later */
            since?: string | undefined;
            /** created before */
            until?: string | undefined;
            event?:
              | "sync.triggered"
              | "sync.started"
              | "sync.completed"
              | "sync.success"
              | "sync.failed"
              | "sync.alert.raised"
              | "sync.alert.resolved"
              | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Delivery"][];
      pagination: Schemas["Pagination"] & {
        /** false: there are at least so many; counting stops at 10000 */
        total_is_exact: boolean;
      };
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the events of a run
   * What happened in it, from the log, oldest first: as far as it is when it is asked for.
   * `GET /sync_runs/{id}/events`, scope read
   */
  listSyncRunEvents: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** as it happened: `desc` begins with the latest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["SyncRunEvent"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the rows of a run with what became of them
   * Rows that were set aside first, then those that were sent, in the order of their batches; `order` changes nothing.
   * `GET /sync_runs/{id}/records`, scope read
   */
  listSyncRunRecords: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** `invalid` is NULL, DUPLICATE and INVALID together */
            status?:
              | "succeeded"
              | "rejected"
              | "unavailable"
              | "pending"
              | "NULL"
              | "DUPLICATE"
              | "INVALID"
              | "invalid"
              | undefined;
            operation?: "upsert" | "update" | "insert" | "append" | "delete" | undefined;
            /** the exact key */
            primary_identifier?: string | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Record"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the runs of a sync
   * Newest first unless `order` says otherwise.
   * `GET /syncs/{id}/sync_runs`, scope read
   */
  listSyncRuns: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
            /** ours: dry and test runs are listed when asked for */
            run_kind?: "normal" | "dry" | "test" | "all" | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["SyncRun"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List syncs
   * `GET /syncs`, scope read
   */
  listSyncs: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Sync"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the deliveries to a webhook
   * Newest first unless asked otherwise, as far back as deliveries are kept.
   * `GET /webhooks/{id}/deliveries`, scope read
   */
  listWebhookDeliveries: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`, and as quick on the last page as on the first: `pagination.next_cursor` */
            cursor?: string | undefined;
            state?: "pending" | "retrying" | "delivered" | "dead" | undefined;
            sync_id?: number | undefined;
            sync_run_id?: number | undefined;
            /** of the last attempt that was answered */
            http_status?: number | undefined;
            /** created then or later */
            since?: string | undefined;
            /** created before */
            until?: string | undefined;
            event?:
              | "sync.triggered"
              | "sync.started"
              | "sync.completed"
              | "sync.success"
              | "sync.failed"
              | "sync.alert.raised"
              | "sync.alert.resolved"
              | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Delivery"][];
      pagination: Schemas["Pagination"] & {
        /** false: there are at least so many; counting stops at 10000 */
        total_is_exact: boolean;
      };
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List the replays for a webhook
   * `GET /webhooks/{id}/replays`, scope read
   */
  listWebhookReplays: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Replay"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List webhooks
   * Without `page`, `per_page` and `cursor` up to 1000 come at once.
   * `GET /webhooks`, scope read
   */
  listWebhooks: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Webhook"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * List workspaces
   * `GET /workspaces`, scope read
   */
  listWorkspaces: {
    input: {
      query?:
        | {
            /** from 1; 0 is read as 1 */
            page?: number | undefined;
            /** at most 100; more is read as 100 */
            per_page?: number | undefined;
            /** by creation: `desc` begins with the newest */
            order?: "asc" | "desc" | undefined;
            /** instead of `page`: `pagination.next_cursor` of the page before; `page` counts on from 1 */
            cursor?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["Workspace"][];
      pagination: Schemas["Pagination"];
      /** address of the next page, or null */
      next: string | null;
    };
  };
  /**
   * Ping a webhook
   * Sends `{"event":"ping","workspace_id":…}`, signed, once, at once, also while it is paused or disabled. It is no delivery: it is neither retried nor listed, and counts for nothing. This answers 200 whatever the endpoint did.
   * `POST /webhooks/{id}/ping`, scope operate
   */
  pingWebhook: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["Ping"];
    };
  };
  /**
   * Preview requests
   * The first rows of the source exactly as a run that sends all would send them; nothing is sent.
   * `POST /syncs/{id}/preview`, scope operate
   */
  previewSync: {
    input: {
      path: {
        id: number;
      };
      body?:
        | {
            rows?: number | null | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["SyncPreview"];
    };
  };
  /**
   * Deliver an ended delivery again
   * The same id, event id and bytes, and the whole schedule of attempts once more: receivers that know X-Event-Id see that they had it before. For many at once make a replay.
   * `POST /webhook_deliveries/{did}/redeliver`, scope operate
   */
  redeliverWebhookDelivery: {
    input: {
      path: {
        did: string;
      };
    };
    answer: {
      status: "success";
      data: Schemas["DetailedDelivery"];
    };
  };
  /**
   * Refresh the fields of an object
   * `POST /destinations/{id}/objects/{full_name}/refresh_fields`, scope operate
   */
  refreshDestinationObjectFields: {
    input: {
      path: {
        id: number;
        full_name: string;
      };
    };
    answer: Schemas["RefreshKey"];
  };
  /**
   * Refresh the objects of a destination
   * `POST /destinations/{id}/refresh_objects`, scope operate
   */
  refreshDestinationObjects: {
    input: {
      path: {
        id: number;
      };
    };
    answer: Schemas["RefreshKey"];
  };
  /**
   * Ask the source for the columns of a model again
   * `POST /sources/{id}/models/{mid}/refresh_columns`, scope operate
   */
  refreshSourceModelColumns: {
    input: {
      path: {
        id: number;
        mid: number;
      };
    };
    answer: Schemas["SourceRefresh"];
  };
  /**
   * Ask a source for the columns of a table again
   * `POST /sources/{id}/tables/{tid}/refresh_columns`, scope operate
   */
  refreshSourceTableColumns: {
    input: {
      path: {
        id: number;
        tid: number;
      };
    };
    answer: Schemas["SourceRefresh"];
  };
  /**
   * Ask a source for its tables again
   * Ends within this request, about 15 s at the most; also with a source that does not answer.
   * `POST /sources/{id}/refresh_tables`, scope operate
   */
  refreshSourceTables: {
    input: {
      path: {
        id: number;
      };
    };
    answer: Schemas["SourceRefresh"];
  };
  /**
   * Revoke one of the destination connect links
   * `POST /destination_connect_links/{id}/revoke`, scope admin
   */
  revokeDestinationConnectLink: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "updated";
      data: Schemas["Link"];
    };
  };
  /**
   * Revoke one of the segment management links
   * `POST /segment_management_links/{id}/revoke`, scope admin
   */
  revokeSegmentManagementLink: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "updated";
      data: Schemas["Link"];
    };
  };
  /**
   * Revoke one of the source connect links
   * `POST /source_connect_links/{id}/revoke`, scope admin
   */
  revokeSourceConnectLink: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "updated";
      data: Schemas["Link"];
    };
  };
  /**
   * Revoke one of the sync management links
   * `POST /sync_management_links/{id}/revoke`, scope admin
   */
  revokeSyncManagementLink: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "updated";
      data: Schemas["Link"];
    };
  };
  /**
   * Give a webhook a new secret
   * `secret` is shown this once. During an overlap the header webhook-signature carries a signature by each, and X-Signature is by the new one alone. Deliveries that wait are signed when they are sent.
   * `POST /webhooks/{id}/rotate_secret`, scope admin
   */
  rotateWebhookSecret: {
    input: {
      path: {
        id: number;
      };
      body?:
        | {
            /** how long the old secret signs too; left out: it stops at once */
            overlap_seconds?: number | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: Schemas["WebhookWithSecret"];
    };
  };
  /**
   * Test the connection of a destination
   * One request without rows. This answers 200 whatever the destination did; `success` tells.
   * `POST /destinations/{id}/test`, scope operate
   */
  testDestination: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["ConnectionTest"];
    };
  };
  /**
   * Test the connection of a source
   * This answers 200 whatever the source did, within about 15 s; `success` tells.
   * `POST /sources/{id}/test`, scope operate
   */
  testSource: {
    input: {
      path: {
        id: number;
      };
    };
    answer: {
      status: "success";
      data: Schemas["SourceTest"];
    };
  };
  /**
   * Send one record
   * The first valid row in the order of keys, or the one with `identifier` as its key. It counts for nothing: a run sends the row all the same.
   * `POST /syncs/{id}/test`, scope operate
   */
  testSync: {
    input: {
      path: {
        id: number;
      };
      body?:
        | {
            /** key of the row to send */
            identifier?: string | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: {
        test_sync_run_id: number;
      };
    };
  };
  /**
   * Start a run
   * `force_full_sync` counts in the query, in a JSON body, or not at all; in the query `false` is false. A paused sync starts all the same. While a run is under way nothing is started, and its id is answered: polling it tells when the sync is done. With `overlap_policy` `queue_one` a second run waits, and its id is answered. A run that was started without a wish of this request is not given back: that is 409.
   * `POST /syncs/{id}/trigger`, scope operate
   */
  triggerSync: {
    input: {
      path: {
        id: number;
      };
      query?:
        | {
            /** send every valid row, changed or not; not for append */
            force_full_sync?: boolean | undefined;
            /** ours: pass over max_delete_percent this time */
            allow_deletes?: boolean | undefined;
            /** ours: pass over max_rejected_percent this time */
            allow_rejects?: boolean | undefined;
          }
        | undefined;
      body?:
        | {
            /** send every valid row, changed or not; not for append */
            force_full_sync?: boolean | undefined;
            /** ours: pass over max_delete_percent this time */
            allow_deletes?: boolean | undefined;
            /** ours: pass over max_rejected_percent this time */
            allow_rejects?: boolean | undefined;
            /** ours: who or what asks; stands in `sync_trigger_reason.ui_detail` behind the token's name. No secrets: it is kept for good */
            reason?: string | null | undefined;
          }
        | undefined;
    };
    answer: {
      status: "success";
      data: {
        sync_run_id: number;
      };
    };
  };
  /**
   * Change a dataset
   * The source is asked when the query changes. Syncs that read columns which are gone then fail until they are changed too.
   * `PATCH /datasets/{id}`, scope admin
   */
  updateDataset: {
    input: {
      path: {
        id: number;
      };
      body: {
        name?: string | undefined;
        type?: "sql" | undefined;
        /** exactly one SELECT or WITH statement */
        query?: string | undefined;
        /** cannot be changed */
        source_id?: number | undefined;
        description?: string | null | undefined;
      };
    };
    answer: {
      status: "updated";
      data: Schemas["Dataset"];
    };
  };
  /**
   * Change a destination
   * What is left out stays, secrets too. A credential of "" or null is taken away; lists and maps are replaced whole.
   * `PATCH /destinations/{id}`, scope admin
   */
  updateDestination: {
    input: {
      path: {
        id: number;
      };
      body: {
        name?: string | undefined;
        /** true: what comes waits, and spends no attempt, until it is false again */
        paused?: boolean | undefined;
        service_connection?:
          | {
              /** cannot be changed */
              type?: string | null | undefined;
              name?: string | null | undefined;
              /** settings and secrets by name, as GET /connectors lists them. Numbers and truth values may be texts; "" and null mean none */
              credentials?: { [name: string]: unknown } | null | undefined;
            }
          | null
          | undefined;
      };
    };
    answer: {
      status: "updated";
      data: Schemas["Destination"];
    };
  };
  /**
   * Change a source
   * What is left out stays, of the credentials too; a stored password stays only for the address that it was stored for.
   * `PATCH /sources/{id}`, scope admin
   */
  updateSource: {
    input: {
      path: {
        id: number;
      };
      body: {
        connection: {
          /** cannot be changed */
          type?: string | null | undefined;
          name?: string | null | undefined;
          /** the same as `name`, which comes first */
          label?: string | null | undefined;
          /** hostname, port, database, user, password, sslmode; or `url`, an address postgres://user:password@host:port/database. Numbers may be texts and texts numbers; "" and null mean left out */
          credentials?: { [name: string]: unknown } | null | undefined;
          /** where is kept what was sent: in Egret's Postgres, or in a schema of the source */
          sync_engine?: "basic" | "advanced" | null | undefined;
          /** that schema, for sync_engine advanced; `egret` when left out */
          state_schema?: string | null | undefined;
        };
      };
    };
    answer: {
      status: "updated";
      data: Schemas["Source"];
    };
  };
  /**
   * Change a model
   * The source is asked when the query changes. Syncs that read columns which are gone then fail until they are changed too.
   * `PATCH /sources/{id}/models/{mid}`, scope admin
   */
  updateSourceModel: {
    input: {
      path: {
        id: number;
        mid: number;
      };
      body: {
        name?: string | undefined;
        /** exactly one SELECT or WITH statement */
        query?: string | undefined;
        description?: string | null | undefined;
      };
    };
    answer: {
      status: "updated";
      data: Schemas["Model"];
    };
  };
  /**
   * Change a sync
   * What is left out stays; lists and objects are replaced whole, so send them complete. `paused` pauses and resumes: a run under way goes on, and nothing is caught up. Where the change makes the next run send rows again that were accepted, `resend` beside `data` tells how many. With `validate_only` it tells so before, and nothing is changed.
   * `PATCH /syncs/{id}`, scope admin
   */
  updateSync: {
    input: {
      path: {
        id: number;
      };
      body: Schemas["SyncChanges"];
    };
    answer: {
      status: "updated" | "success";
      data: Schemas["Sync"];
      resend?: Schemas["Resend"] | undefined;
    };
  };
  /**
   * Change a webhook
   * What is left out stays. Changed events count for what happens afterwards, a changed endpoint from the next attempt on. `enabled: false` is what `egret webhook disable` does, and outlasts `egret apply`; `enabled: true` also lets one go on that was disabled by itself.
   * `PATCH /webhooks/{id}`, scope admin
   */
  updateWebhook: {
    input: {
      path: {
        id: number;
      };
      body: {
        name?: string | undefined;
        /** https:// address */
        endpoint?: string | undefined;
        /** null: all of them */
        events?:
          | (
              | "sync.triggered"
              | "sync.started"
              | "sync.completed"
              | "sync.success"
              | "sync.failed"
              | "sync.alert.raised"
              | "sync.alert.resolved"
            )[]
          | null
          | undefined;
        /** true: what comes waits, and spends no attempt, until it is false again */
        paused?: boolean | undefined;
        description?: string | null | undefined;
        /** false: no deliveries, and what waits is dropped */
        enabled?: boolean | undefined;
        /** disable it after so many deliveries in a row were lost; null: never */
        auto_disable_after_exhausted?: number | null | undefined;
        /** disable it when it answers 410 Gone */
        disable_on_gone?: boolean | undefined;
        /** wait as long as its Retry-After asks, up to 15 minutes */
        honor_retry_after?: boolean | undefined;
        /** PEM texts; never shown again. null: none */
        tls?:
          | {
              ca?: string | undefined;
              client_certificate?: string | undefined;
              client_key?: string | undefined;
            }
          | null
          | undefined;
      };
    };
    answer: {
      status: "updated";
      data: Schemas["Webhook"];
    };
  };
  /**
   * Change a workspace
   * What is left out stays. The short name by which egret.yaml goes does not change.
   * `PATCH /workspaces/{id}`, scope admin
   */
  updateWorkspace: {
    input: {
      path: {
        id: number;
      };
      body?:
        | {
            name?: string | undefined;
            notification_emails?: string[] | undefined;
          }
        | undefined;
    };
    answer: {
      status: "updated";
      data: Schemas["Workspace"];
    };
  };
}
