/** GET /source_types: the kinds of sources, with the fields that each asks for. */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { POSTGRES_FIELDS } from "../../../configuration/sourceCredentials.ts";
import { envelope, success } from "../answers.ts";
import type { ApiEnv } from "../apiEnv.ts";
import { endpoint, json, rooms } from "../endpoint.ts";
import { configurationFieldsSchema } from "../objects/connector.ts";

const sourceTypeSchema = z
  .object({
    service_name: z.string().openapi({ example: "postgres" }),
    label: z.string(),
    documentation_slug: z.string(),
    supported_sync_engines: z.array(z.string()),
    creatable_via_api: z.boolean(),
    editable_via_api: z.boolean(),
    creatable_via_connect_link: z.boolean(),
    configuration_fields: configurationFieldsSchema,
  })
  .openapi("SourceType");

const POSTGRES: z.infer<typeof sourceTypeSchema> = {
  service_name: "postgres",
  label: "Postgres",
  documentation_slug: "postgres",
  supported_sync_engines: ["basic", "advanced"],
  creatable_via_api: true,
  editable_via_api: true,
  creatable_via_connect_link: true,
  configuration_fields: {
    fields: POSTGRES_FIELDS.map(({ id, label, description, isRequired, isSecret, placeholder, values }) => ({
      id,
      label,
      type: id === "port" ? "integer" : "string",
      rules: isRequired ? ["required"] : [],
      placeholder,
      is_password_type_field: isSecret,
      possible_values: [...values],
      show: null,
      conditionally_required: null,
      description,
    })),
  },
};

const list = endpoint(
  {
    method: "get",
    path: "/source_types",
    summary: "List the kinds of sources",
    description:
      "`configuration_fields` names what the credentials of a source of that kind may hold. Not paged.",
    responses: { 200: json(envelope("success", z.array(sourceTypeSchema)), "the kinds") },
  },
  { tag: "Connectors", scope: "read" },
);

/** The room. */
export function sourceTypeRoutes(): OpenAPIHono<ApiEnv> {
  const room = rooms();
  room.openapi(list, (context) => context.json(success([POSTGRES]), 200));
  return room;
}
