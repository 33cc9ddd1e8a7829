/** The kinds of destinations that there are, as those see them who configure one without egret.yaml. */
import type { Destination } from "../domain/configuration.ts";
import { httpRequestSecrets, webhookDestinationSecrets } from "../domain/configuration.ts";
import { type ConfigurationField, configurationFields } from "./configurationFields.ts";
import { destinationSchema } from "./destinationSchema.ts";

/** A kind of destination. */
export interface DestinationType {
  type: Destination["type"];
  label: string;
  fields: readonly ConfigurationField[];
  /** Other names that clients give its fields, as the connectors of other products call them. */
  aliases: Readonly<Record<string, string>>;
}

const COMMON_ALIASES = { endpoint: "url", http_method: "method", custom_headers: "headers" };

const [webhook, httpRequest] = destinationSchema.options;

/** Every kind. */
export const DESTINATION_TYPES: readonly DestinationType[] = [
  {
    type: "webhook",
    label: "Webhook",
    fields: configurationFields(webhook, Object.keys(webhookDestinationSecrets.shape)),
    aliases: {
      ...COMMON_ALIASES,
      webhook_url: "url",
      requests_per_second: "rate_limit_per_second",
    },
  },
  {
    type: "http_request",
    label: "HTTP Request",
    // The client's secret stands inside `oauth`.
    fields: configurationFields(httpRequest, [...Object.keys(httpRequestSecrets.shape), "oauth"]),
    aliases: {
      ...COMMON_ALIASES,
      base_url: "url",
      query_parameters: "url_parameters",
      rate_limit_per_second: "requests_per_second",
    },
  },
];

/** The kind of that name, or null. */
export function findDestinationType(type: string): DestinationType | null {
  return DESTINATION_TYPES.find((kind) => kind.type === type) ?? null;
}
