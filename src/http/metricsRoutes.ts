/** `/metrics`: what Prometheus scrapes. Numbers and bounded labels only, so it needs no authentication. */
import { Hono } from "hono";
import type { Registry } from "prom-client";

/** The route of one registry. */
export function metricsRoutes(registry: Registry): Hono {
  const app = new Hono();
  app.get("/metrics", async (context) =>
    context.text(await registry.metrics(), 200, { "content-type": registry.contentType }),
  );
  return app;
}
