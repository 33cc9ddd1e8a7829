/** `/healthz`: the process is alive. `/readyz`: it can do its work, or which part cannot and why. */
import { Hono } from "hono";

/** One part that has to be there, such as NATS; `check` throws when it is not. */
export interface HealthCheck {
  name: string;
  check(): Promise<void>;
}

/** A check that has not answered by then counts as failed, ms. */
const CHECK_TIMEOUT_MS = 2_000;

/** Routes that need no authentication and show nothing but states. */
export function healthRoutes(checks: readonly HealthCheck[], isDraining: () => boolean): Hono {
  const app = new Hono();
  app.get("/healthz", (context) => context.json({ status: "ok" }));
  app.get("/readyz", async (context) => {
    const results = await Promise.all(checks.map(async (part) => [part.name, await outcome(part)] as const));
    const parts = Object.fromEntries(results);
    const isReady = !isDraining() && results.every(([, state]) => state === "ok");
    const status = isDraining() ? "draining" : isReady ? "ready" : "not ready";
    return context.json({ status, parts }, isReady ? 200 : 503);
  });
  return app;
}

async function outcome(part: HealthCheck): Promise<"ok" | "unreachable" | "slow"> {
  const slow = Promise.withResolvers<"slow">();
  const timer = setTimeout(() => slow.resolve("slow"), CHECK_TIMEOUT_MS);
  try {
    return await Promise.race([part.check().then(() => "ok" as const), slow.promise]);
  } catch {
    // Why it failed can name hosts and users: the log tells, this page does not.
    return "unreachable";
  } finally {
    clearTimeout(timer);
  }
}
