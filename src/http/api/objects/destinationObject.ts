/** What a destination can be sent: each kind has one object, which takes any field beside its key (behaviour.md 1.5). */
import { z } from "@hono/zod-openapi";
import {
  type Destination,
  KEY_FIELD,
  OPERATIONS,
  SUPPORTED_OPERATIONS,
} from "../../../domain/configuration.ts";

export const destinationFieldSchema = z
  .object({
    full_name: z.string(),
    label: z.string(),
    type: z.string(),
    createable: z.boolean(),
    updateable: z.boolean(),
    array: z.boolean(),
    operations: z.array(z.string()),
    preserve_values_supported: z.boolean(),
    required_for_mapping: z.boolean(),
    can_be_upsert_key: z.boolean(),
    can_be_update_key: z.boolean(),
    can_be_insert_key: z.boolean(),
    can_be_reference_key: z.boolean(),
    lookup_object: z.null(),
  })
  .openapi("DestinationField");

export const destinationObjectSchema = z
  .object({
    full_name: z.string().openapi({ example: "webhook" }),
    label: z.string(),
    supported_operations: z.array(z.enum(OPERATIONS)),
    allow_custom_fields: z.boolean(),
    allow_case_sensitive_fields: z.boolean(),
    supports_field_ordering: z.boolean(),
    can_be_sync_destination: z.boolean(),
    advanced_configuration_field_definitions: z.array(z.unknown()),
    fields: z.array(destinationFieldSchema),
  })
  .openapi("DestinationObject");

export type DestinationObject = z.infer<typeof destinationObjectSchema>;

const LABELS: Readonly<Record<Destination["type"], string>> = {
  webhook: "Webhook",
  http_request: "HTTP Request",
};

const isKind = (type: string): type is Destination["type"] => Object.hasOwn(LABELS, type);

/** The objects of a destination of that type. */
export function objectsOf(type: string): DestinationObject[] {
  if (!isKind(type)) return [];
  const operations = SUPPORTED_OPERATIONS[type];
  return [
    {
      full_name: type,
      label: LABELS[type],
      supported_operations: [...operations],
      allow_custom_fields: true,
      allow_case_sensitive_fields: true,
      supports_field_ordering: true,
      can_be_sync_destination: true,
      advanced_configuration_field_definitions: [],
      fields: [
        {
          full_name: KEY_FIELD,
          label: "Unique ID",
          type: "string",
          createable: true,
          updateable: false,
          array: false,
          operations: [],
          preserve_values_supported: false,
          required_for_mapping: true,
          can_be_upsert_key: operations.includes("upsert"),
          can_be_update_key: operations.includes("update"),
          can_be_insert_key: operations.includes("insert"),
          can_be_reference_key: false,
          lookup_object: null,
        },
      ],
    },
  ];
}
