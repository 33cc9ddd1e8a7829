/** The management API under /api/v1: who asks is found out first, then the rooms of routes answer. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { Hono } from "hono";
import { type AuditEntry, type AuditLine, auditLine, writeAuditLines } from "../../configuration/apiAudit.ts";
import { findApiTokens, noteTokensUsed } from "../../configuration/apiTokens.ts";
import { beginKeyed, forgetKeyed, keepAnswer } from "../../configuration/idempotency.ts";
import type { ApiDesk } from "./apiDesk.ts";
import type { ApiEnv } from "./apiEnv.ts";
import { errorAnswer, onApiError } from "./apiErrors.ts";
import { audit } from "./audit.ts";
import { authenticate, authorize } from "./credentials.ts";
import { rooms } from "./endpoint.ts";
import { GatheredWrites } from "./gatheredWrites.ts";
import { idempotency } from "./idempotency.ts";
import { type OpenApiDocument, openApiDocument, openApiRoute } from "./openApi.ts";
import { apiRateLimit } from "./rateLimit.ts";
import { requestBody } from "./requestBody.ts";
import { requestId } from "./requestId.ts";
import { alertRoutes } from "./routes/alerts.ts";
import { apiCallRoutes } from "./routes/apiCalls.ts";
import { apiKeyRoutes } from "./routes/apiKeys.ts";
import { auditLogRoutes } from "./routes/auditLog.ts";
import { connectorRoutes } from "./routes/connectors.ts";
import { datasetRoutes } from "./routes/datasets.ts";
import { deliveryRoutes } from "./routes/deliveries.ts";
import { destinationObjectRoutes } from "./routes/destinationObjects.ts";
import { destinationRoutes } from "./routes/destinations.ts";
import { linkRoutes } from "./routes/links.ts";
import { modelRoutes } from "./routes/models.ts";
import { recordRoutes } from "./routes/records.ts";
import { replayRoutes } from "./routes/replays.ts";
import { segmentRoutes } from "./routes/segments.ts";
import { sourceObjectRoutes } from "./routes/sourceObjects.ts";
import { sourceRoutes } from "./routes/sources.ts";
import { sourceTypeRoutes } from "./routes/sourceTypes.ts";
import { syncRunRoutes } from "./routes/syncRuns.ts";
import { syncRoutes } from "./routes/syncs.ts";
import { syncTrialRoutes } from "./routes/syncTrials.ts";
import { syncTriggerRoutes } from "./routes/syncTriggers.ts";
import { webhookActionRoutes } from "./routes/webhookActions.ts";
import { webhookRoutes } from "./routes/webhooks.ts";
import { workspaceRoutes } from "./routes/workspaces.ts";
import { routeTable } from "./routeTable.ts";
import { steps } from "./step.ts";
import { TokenUses } from "./tokenUses.ts";
import { TokenVerifier } from "./tokenVerifier.ts";

/** Where the API begins. */
export const API_BASE = "/api/v1";

/** The API of a process. */
export interface RunningApi {
  fetch: Hono<ApiEnv>["fetch"];
  /** What it can do, as OpenAPI 3.1. */
  document(): OpenApiDocument;
  /** Leaves an entry of the pages beside the API in its audit; returns at once. */
  audit(entry: AuditEntry): void;
  close(): Promise<void>;
}

/** Every room of routes, mounted; also what the document is made from. */
function apiRoutes(desk: ApiDesk, own: OwnDesk): OpenAPIHono<ApiEnv> {
  const api = rooms();
  // One line per room.
  api.route("/", workspaceRoutes(desk, own));
  api.route("/", sourceTypeRoutes());
  api.route("/", sourceRoutes(desk));
  api.route("/", sourceObjectRoutes(desk));
  api.route("/", modelRoutes(desk));
  api.route("/", datasetRoutes(desk));
  api.route("/", connectorRoutes());
  api.route("/", destinationRoutes(desk));
  api.route("/", destinationObjectRoutes(desk));
  api.route("/", webhookRoutes(desk));
  api.route("/", webhookActionRoutes(desk));
  api.route("/", deliveryRoutes(desk));
  api.route("/", syncRoutes(desk));
  api.route("/", syncTriggerRoutes(desk));
  api.route("/", syncTrialRoutes(desk));
  api.route("/", syncRunRoutes(desk));
  api.route("/", replayRoutes(desk));
  api.route("/", segmentRoutes(desk));
  api.route("/", recordRoutes(desk));
  api.route("/", apiCallRoutes(desk));
  api.route("/", alertRoutes(desk));
  api.route("/", linkRoutes(desk));
  api.route("/", apiKeyRoutes(desk, own));
  api.route("/", auditLogRoutes(desk, own));
  return api;
}

/** What the rooms that show or change the API's own things need. */
interface OwnDesk {
  /** After a token was changed: what is known of tokens is looked up again. */
  forgetTokens(): void;
  /** Writes the entries of the audit that are still gathered. */
  flushAudit(): Promise<void>;
}

/** The whole API; `desk` is what its routes work with. */
export function apiApp(desk: ApiDesk): RunningApi {
  const { database, db, box, logger, now } = desk;
  const verifier = new TokenVerifier({ find: (hashes) => findApiTokens(db, hashes), now });
  const write = (lines: readonly AuditLine[]) => writeAuditLines(database.pool, lines);
  const entries = new GatheredWrites<AuditLine>({ name: "api.audit", write, logger });
  const uses = new TokenUses({ note: (seen) => noteTokensUsed(db, seen), now, logger });
  const limit = apiRateLimit(desk.requestsPerSecond, now);
  const routes = apiRoutes(desk, {
    forgetTokens: () => verifier.forget(),
    flushAudit: () => entries.flush(),
  });
  const table = routeTable(routes);
  let made: OpenApiDocument | null = null;
  const document = () => (made ??= openApiDocument(routes, { ...desk, base: API_BASE }));
  const app = new Hono<ApiEnv>({ strict: false });
  app.onError(onApiError(desk));
  app.notFound((context) => errorAnswer(context, 404, "Not found"));
  app.use(`${API_BASE}/openapi.json`, steps([requestId]));
  app.route(API_BASE, openApiRoute(document));
  // A token comes before anything is read: who has none learns nothing and costs little.
  const known = authenticate({
    verify: (token) => verifier.verify(token),
    used: (tokenId) => uses.add(tokenId),
    refused: (address) => limit.refused(address),
  });
  const audited = audit({ add: (entry) => entries.add(auditLine(entry)), now });
  const once = idempotency({
    begin: (wanted) => beginKeyed(db, box, wanted),
    keep: (wanted, answer) => keepAnswer(db, box, { wanted, answer }),
    forget: (wanted) => forgetKeyed(db, wanted),
  });
  app.use(steps([requestId, known, limit.perToken], audited));
  app.use(steps([authorize(table, API_BASE), requestBody], once));
  app.route(API_BASE, routes);
  const close = async () => {
    await entries.flush();
    await uses.flush();
  };
  return { fetch: app.fetch, document, audit: (entry) => entries.add(auditLine(entry)), close };
}
