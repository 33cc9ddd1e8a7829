/** What a process answers over HTTP: its health and metrics, and with the role `api` the hooks, the pages and the API. */
import { sql } from "kysely";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import { findHook } from "./configuration/hooks.ts";
import { API_BASE, apiApp, type RunningApi } from "./http/api/apiApp.ts";
import type { ApiDesk } from "./http/api/apiDesk.ts";
import { docsPage } from "./http/api/docs/docsPage.ts";
import { DEFAULT_API_RATE } from "./http/api/rateLimit.ts";
import { exportLinkRoutes } from "./http/exportLinks.ts";
import { type HealthCheck, healthRoutes } from "./http/healthRoutes.ts";
import { type HookDesk, hookRoutes } from "./http/hookRoutes.ts";
import { metricsRoutes } from "./http/metricsRoutes.ts";
import { OpenAnswers } from "./http/openAnswers.ts";
import { pagesApp } from "./http/pages/pagesApp.ts";
import { runPages } from "./http/pages/runPage.ts";
import type { Served } from "./http/server.ts";
import { publishCommand } from "./log/commands.ts";
import type { Releases } from "./releases.ts";
import type { OutboundSettings } from "./security/outboundPools.ts";
import { VERSION } from "./version.ts";

type PageServices = Pick<ApiDesk, "connection" | "log" | "database" | "box">;

/** Settings of the API of a process. */
export interface ApiSettings {
  /** Requests that one token of the API may make per second; 20 unless given, 0 for as many as it likes. */
  apiRequestsPerSecond?: number;
  /** Of the answer to a created sync; 200 unless given. */
  apiSyncCreatedStatus?: 200 | 201;
}

/** What the pages are made of. */
export interface PageParts {
  services: PageServices;
  settings: ApiSettings & OutboundSettings & { roles: readonly string[]; logger: Logger };
  registry: Registry;
  releases: Releases;
  isDraining(): boolean;
  publicUrl(): string;
}

/** What is served, and what tells slow readers that it ends: to be called before the server closes. */
export type WebPages = Served & { lastCall(): Promise<void> };

/** All of it, to be served. */
export function webPages({
  services,
  settings,
  registry,
  releases,
  isDraining,
  publicUrl,
}: PageParts): WebPages {
  const app = healthRoutes(healthChecks(services), isDraining);
  app.route("/", metricsRoutes(registry));
  const open = new OpenAnswers();
  const lastCall = () => open.close();
  if (!settings.roles.includes("api")) return { fetch: app.fetch, lastCall };
  app.route("/", hookRoutes(hookDesk(services)));
  const desk = apiDesk(services, settings, publicUrl);
  const api = apiApp(desk);
  app.route("/", pagesApp(desk, api.audit)).route("/", exportLinkRoutes({ ...desk, open }));
  app.route("/", runPages(api));
  releases.push(() => api.close());
  app.route("/", docsPage(api.document, publicUrl));
  return { ...withApi(app, api), lastCall };
}

/** The API stands beside the other pages, not below them: a slash at the end of its paths does not count. */
function withApi(app: Served, api: RunningApi): Served {
  return {
    fetch: (request, ...more) =>
      isBelow(request.url, API_BASE) ? api.fetch(request, ...more) : app.fetch(request, ...more),
  };
}

function isBelow(url: string, base: string): boolean {
  const from = url.indexOf("/", url.indexOf("://") + 3);
  return url.startsWith(base, from) && ["", "/", "?"].includes(url.charAt(from + base.length));
}

function apiDesk(
  { database, connection, log, box }: PageServices,
  settings: PageParts["settings"],
  publicUrl: () => string,
): ApiDesk {
  return {
    db: database.db,
    database,
    connection,
    log,
    box,
    publicUrl,
    outbound: settings,
    requestsPerSecond: settings.apiRequestsPerSecond ?? DEFAULT_API_RATE,
    syncCreatedStatus: settings.apiSyncCreatedStatus ?? 200,
    version: VERSION,
    logger: settings.logger,
    now: () => new Date(),
  };
}

function hookDesk({ connection, database: { db } }: PageServices): HookDesk {
  return {
    find: (token) => findHook(db, token),
    publish: async (workspaceId, { id, payload }) => {
      await publishCommand(connection, { workspaceId, verb: "trigger", payload, id });
    },
  };
}

function healthChecks({ connection, database }: PageServices): HealthCheck[] {
  return [
    { name: "postgres", check: async () => void (await sql`select 1`.execute(database.db)) },
    { name: "nats", check: async () => void (await connection.jsm.getAccountInfo()) },
  ];
}
