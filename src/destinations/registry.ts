/** Every kind of destination that there is: one sender that knows which of them a destination is. */
import type { Destination } from "../domain/configuration.ts";
import type { DestinationSender, SenderOptions } from "./destination.ts";
import { createHttpRequestSender } from "./httpRequest.ts";
import { createWebhookSender } from "./webhook.ts";

type Kinds = { [T in Destination["type"]]: DestinationSender<Extract<Destination, { type: T }>> };

/** A sender for destinations of any kind. */
export function createDestinationSender(options: SenderOptions): DestinationSender {
  const kinds: Kinds = {
    webhook: createWebhookSender(options),
    http_request: createHttpRequestSender(options),
  };
  const kindOf = ({ type }: Destination) => kinds[type] as DestinationSender;
  return {
    sendBatch: (destination, request) => kindOf(destination).sendBatch(destination, request),
    testConnection: (destination, signal) => kindOf(destination).testConnection(destination, signal),
  };
}
