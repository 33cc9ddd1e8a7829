/** A kind of destination as the API describes it: which settings and secrets it asks for (api-clients.md 1.1). */
import { z } from "@hono/zod-openapi";
import type { ConfigurationField } from "../../../configuration/configurationFields.ts";
import type { DestinationType } from "../../../configuration/destinationTypes.ts";

/** One field that a person or a client fills in. `rules` is always a list; a bare text breaks clients. */
export const configurationFieldSchema = z
  .object({
    id: z.string(),
    label: z.string(),
    type: z.enum(["string", "integer", "number", "boolean", "object", "array"]),
    rules: z.array(z.string()).openapi({ description: "`required`, or nothing", example: ["required"] }),
    placeholder: z.string().nullable().openapi({ description: "what holds when it is left out" }),
    is_password_type_field: z.boolean().openapi({ description: "a secret: never shown again" }),
    possible_values: z.array(z.string()).openapi({ description: "empty: no choice" }),
    show: z.null(),
    conditionally_required: z.null(),
    description: z.string(),
  })
  .openapi("ConfigurationField");

/** The list of them. */
export const configurationFieldsSchema = z.object({ fields: z.array(configurationFieldSchema) });

/** A field as clients read it. */
export function presentField(field: ConfigurationField): z.infer<typeof configurationFieldSchema> {
  const { id, label, types, isRequired, isSecret, values, defaultValue, description } = field;
  const type = types.find((each) => each !== "null") ?? "string";
  return {
    id,
    label,
    type,
    rules: isRequired ? ["required"] : [],
    placeholder: defaultValue === undefined || defaultValue === "" ? null : String(defaultValue),
    is_password_type_field: isSecret,
    possible_values: [...values],
    show: null,
    conditionally_required: null,
    description,
  };
}

export const connectorSchema = z
  .object({
    service_name: z.string().openapi({ example: "webhook" }),
    label: z.string(),
    documentation_slug: z.string(),
    creatable_via_api: z.boolean(),
    creatable_via_connect_link: z.boolean(),
    supports_test: z.boolean(),
    configuration_fields: configurationFieldsSchema,
  })
  .openapi("Connector");

/** A kind of destination as clients read it. */
export function presentConnector({ type, label, fields }: DestinationType): z.infer<typeof connectorSchema> {
  return {
    service_name: type,
    label,
    documentation_slug: type.replaceAll("_", "-"),
    creatable_via_api: true,
    creatable_via_connect_link: true,
    supports_test: true,
    configuration_fields: { fields: fields.map(presentField) },
  };
}
