/** Names of the types of alerts, as configurations and payloads have them. Source: docs; behaviour.md 7.2. */
export const ALERT_TYPES = [
  "FailureAlertConfiguration",
  "InvalidRecordPercentAlertConfiguration",
  "StatusAlertConfiguration",
  "FullSyncTriggerAlertConfiguration",
  "RuntimeAlertConfiguration",
  "RecordCountDeviationAlertConfiguration",
] as const;
