/** What must hold between the operation of a sync in egret.yaml, its options, and the destination that performs it. */
import { type Operation, SUPPORTED_OPERATIONS } from "../domain/configuration.ts";
import { isTemplate } from "../domain/requestPath.ts";
import type { DestinationShape } from "./destinationSchema.ts";
import type { FieldPath } from "./fileProblem.ts";
import type { FileShape } from "./fileSchema.ts";

type SyncShape = FileShape["syncs"][string];
type OptionName = keyof SyncShape;

/** A fault at a path below the sync's own, and its fix. */
export interface OperationFault {
  path: FieldPath;
  message: string;
}

/** Options that mean something for one operation only. */
const BOUND_OPTIONS: readonly { name: OptionName; operation: Operation; isSet(sync: SyncShape): boolean }[] =
  [
    {
      name: "historical_sync_operation",
      operation: "append",
      isSet: (sync) => sync.historical_sync_operation !== undefined,
    },
    {
      name: "high_water_mark_attribute",
      operation: "append",
      isSet: (sync) => sync.high_water_mark_attribute !== undefined,
    },
    {
      name: "send_full_record_on_delete",
      operation: "mirror",
      isSet: (sync) => sync.send_full_record_on_delete,
    },
    {
      name: "max_delete_percent",
      operation: "mirror",
      isSet: (sync) => sync.max_delete_percent !== undefined,
    },
  ];

/** Faults of one sync's operation (behaviour.md 1.5, 2.1, 5.5, 10.5). */
export function operationFaults(sync: SyncShape, destinations: FileShape["destinations"]): OperationFault[] {
  const { operation } = sync;
  const faults: OperationFault[] = BOUND_OPTIONS.filter(
    (option) => option.operation !== operation && option.isSet(sync),
  ).map(({ name, operation: wanted }) => ({
    path: [name],
    message: `\`${name}\` works with \`operation: ${wanted}\` only; leave it out, or choose that operation.`,
  }));
  const destination = Object.hasOwn(destinations, sync.destination)
    ? destinations[sync.destination]
    : undefined;
  if (destination === undefined) return faults;
  const supported = SUPPORTED_OPERATIONS[destination.type];
  if (!supported.includes(operation)) {
    const message = `A ${destination.type} destination cannot \`${operation}\`; choose one of ${supported.join(", ")}.`;
    faults.push({ path: ["operation"], message });
  } else if (operation === "mirror" && destination.type === "webhook" && !destination.wrap_data) {
    const message = `"${sync.destination}" gets bare rows (wrap_data: false), in which deletes look like changes; set \`wrap_data: true\` there, or choose another operation.`;
    faults.push({ path: ["operation"], message });
  } else if ((operation === "mirror" || operation === "delete") && isBlindDelete(destination)) {
    const message = `A delete sent to "${sync.destination}" names no row: its path is the same for all, and it has no body. Write \`delete_path: …/{{ record['unique_id'] }}\` there, or a \`delete_payload\`.`;
    faults.push({ path: ["destination"], message });
  }
  return faults;
}

/** Whether a deleted row would be a DELETE of everything under one path. */
function isBlindDelete(destination: DestinationShape): boolean {
  if (destination.type !== "http_request" || destination.delete_payload !== "empty") return false;
  return !isTemplate(destination.delete_path ?? destination.path);
}
