import { afterAll, expect, test } from "vitest";
import { healthRoutes } from "../../src/http/healthRoutes.ts";
import { serveHttp } from "../../src/http/server.ts";
import { startEgret } from "../../src/main.ts";
import { testEgret } from "../support/egret.ts";

const egret = await testEgret();

test("/healthz and /readyz answer over the socket when everything is there", async () => {
  const health = await fetch(`${egret.url}/healthz`);
  expect([health.status, await health.json()]).toEqual([200, { status: "ok" }]);
  const ready = await fetch(`${egret.url}/readyz`);
  expect([ready.status, await ready.json()]).toEqual([
    200,
    { status: "ready", parts: { postgres: "ok", nats: "ok" } },
  ]);
});

test("/metrics shows the log's fill, what waits and how far behind the read models are", async () => {
  const answer = await fetch(`${egret.url}/metrics`);
  expect(answer.status).toBe(200);
  const text = await answer.text();
  expect(text).toMatch(/^egret_stream_fill_ratio\{stream="runs"\} 0/m);
  expect(text).toContain('egret_delivery_backlog{queue="first"} 0');
  expect(text).toContain('egret_delivery_backlog{queue="waiting"} 0');
  expect(text).toContain('egret_consumer_lag_messages{consumer="run_worker",state="unread"} 0');
  expect(text).toContain('egret_projection_lag_events{stream="deliveries"} 0');
  expect(text).toContain('egret_endpoints{target="webhook",state="open"} 0');
  expect(text).toContain("process_cpu_user_seconds_total");
});

test("a process without the API answers too, on another port when its own is taken", async () => {
  const { settings } = egret;
  const http = { host: "127.0.0.1", port: Number(new URL(egret.url).port) };
  const worker = await startEgret({ ...settings, http, roles: ["worker"] });
  afterAll(worker.close);
  expect(worker.url).not.toBe(egret.url);
  const ready = await fetch(`${worker.url}/readyz`);
  expect([ready.status, await ready.json()]).toMatchObject([200, { status: "ready" }]);
  const text = await (await fetch(`${worker.url}/metrics`)).text();
  expect(text).toContain('egret_delivery_attempts_total{target="webhook",outcome="accepted"} 0');
  expect(text).toMatch(/^egret_build_info\{version="[^"]+",roles="worker"\} 1$/m);
  // They tell of the installation: not from every worker.
  expect(text).not.toContain("egret_delivery_backlog");
  await expect(startEgret({ ...settings, http, roles: ["api"] })).rejects.toThrow("set EGRET_HTTP_PORT");
});

test("/readyz says 503 and which part is missing, without why", async () => {
  const checks = [
    { name: "postgres", check: async () => undefined },
    { name: "nats", check: () => Promise.reject(new Error("password hunter2 refused")) },
  ];
  const answer = await healthRoutes(checks, () => false).request("/readyz");
  expect(answer.status).toBe(503);
  const text = await answer.text();
  expect(JSON.parse(text)).toEqual({ status: "not ready", parts: { postgres: "ok", nats: "unreachable" } });
  expect(text).not.toContain("hunter2");
});

test("/readyz says draining from the moment of shutdown", async () => {
  const answer = await healthRoutes([], () => true).request("/readyz");
  expect([answer.status, await answer.json()]).toEqual([503, { status: "draining", parts: {} }]);
});

test("a taken port is named with the variable that changes it", async () => {
  const first = await serveHttp(
    healthRoutes([], () => false),
    { host: "127.0.0.1", port: 0 },
  );
  afterAll(first.close);
  const port = Number(new URL(first.url).port);
  await expect(
    serveHttp(
      healthRoutes([], () => false),
      { host: "127.0.0.1", port },
    ),
  ).rejects.toThrow(`cannot listen on 127.0.0.1:${port}: another program has it: set EGRET_HTTP_PORT`);
});
