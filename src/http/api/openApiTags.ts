/** The groups of the API's document, in the order in which a reader meets them. */

/** Name and description. */
export const TAGS: Readonly<Record<string, string>> = {
  Workspaces: "What belongs together and is fenced off from others.",
  "API keys": "Who may use a workspace's API, with which rights.",
  Sources: "Where data comes from.",
  Models: "Queries over a source whose rows are synced.",
  Datasets: "Models under the name that newer clients give them.",
  Tables: "Tables and views of a source.",
  Destinations: "Where data goes.",
  Connectors: "Kinds of sources and destinations that can be configured.",
  Syncs: "What is sent where, how, and when.",
  "Sync runs": "What each execution of a sync did.",
  Records: "The rows of a run, as they were sent or set aside.",
  "API calls": "Requests to targets and what was answered.",
  Alerts: "What is wrong with syncs now, and what was.",
  Webhooks: "Who is told of the lifecycle of syncs.",
  Deliveries: "What webhooks were told, with every attempt.",
  Replays: "Telling webhooks again.",
  Segments: "Parts of a dataset.",
  Links: "Addresses where a person enters credentials or edits one thing.",
  "Audit log": "Who wrote what through this API.",
};
