/** GET /connectors: the kinds of destinations, with the fields that each asks for. */
import { DESTINATION_TYPES } from "../../../configuration/destinationTypes.ts";
import { endpoint, json, rooms } from "../endpoint.ts";
import { connectorSchema, presentConnector } from "../objects/connector.ts";
import { listOf, pageQuery } from "../paging.ts";
import { shortList } from "../shortList.ts";

const list = endpoint(
  {
    method: "get",
    path: "/connectors",
    summary: "List the kinds of destinations",
    description: "`configuration_fields` names what the credentials of a destination of that kind may hold.",
    request: { query: pageQuery },
    responses: { 200: json(listOf(connectorSchema), "the kinds") },
  },
  { tag: "Connectors", scope: "read" },
);

/** The room. */
export function connectorRoutes() {
  const room = rooms();
  room.openapi(list, (context) =>
    context.json(shortList(context, context.req.valid("query"), DESTINATION_TYPES, presentConnector), 200),
  );
  return room;
}
