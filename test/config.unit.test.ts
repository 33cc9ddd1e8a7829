import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { configVariables, InvalidConfig, readConfig, redactedConfig } from "../src/config.ts";

const key = randomBytes(32).toString("base64");

/** Problems by variable. */
function problemsOf(env: Record<string, string>): Record<string, string> {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof InvalidConfig) {
      return Object.fromEntries(error.problems.map(({ field, message }) => [field, message]));
    }
    throw error;
  }
  return {};
}

describe("the settings", () => {
  test("have defaults, so that an empty environment will do", () => {
    expect(readConfig({})).toEqual({
      remoteUrl: null,
      remoteToken: null,
      databaseUrl: null,
      natsUrl: null,
      outboundAllow: [],
      outboundProxy: null,
      outboundCaFile: null,
      secretKeys: [],
      streamPrefix: "egret",
      httpHost: "127.0.0.1",
      httpPort: 4747,
      publicUrl: null,
      logLevel: "info",
      dir: ".egret",
      allowHttp: false,
      deliveryRetentionDays: 30,
      exchangeRetentionDays: 14,
      recordRetentionDays: 14,
      workerConcurrency: 100,
      apiRequestsPerSecond: 20,
      apiSyncCreatedStatus: 200,
      runsPerWorkspace: 8,
      streamMaxBytes: 4_294_967_296,
      otlpEndpoint: null,
      traceShare: 1,
    });
  });

  test("take what is set, and an empty variable as not set", () => {
    const config = readConfig({
      EGRET_DATABASE_URL: "postgres://u:p@db/egret",
      EGRET_NATS_URL: "nats://a:4222,nats://b:4222",
      EGRET_SECRET_KEY: `${key}, ${key}`,
      EGRET_HTTP_PORT: "0",
      EGRET_ALLOW_HTTP: "true",
      EGRET_LOG_LEVEL: "",
    });
    expect(config).toMatchObject({ httpPort: 0, allowHttp: true, logLevel: "info", secretKeys: [key, key] });
  });

  test("name every wrong variable at once with its fix, and never its value", () => {
    const problems = problemsOf({
      EGRET_DATABASE_URL: "mysql://u:hunter2@h",
      EGRET_NATS_URL: "nats://ok:4222,hunter2",
      EGRET_SECRET_KEY: "hunter2",
      EGRET_HTTP_PORT: "65536",
      EGRET_LOG_LEVEL: "loud",
      EGRET_ALLOW_HTTP: "yes",
      EGRET_WORKER_CONCURRENCY: "1e3",
      EGRET_STREAM_PREFIX: "a.b",
      EGRET_OTLP_ENDPOINT: "hunter2:4318",
      EGRET_TRACE_SHARE: "5%",
    });
    expect(problems).toEqual({
      EGRET_DATABASE_URL: "must be an address such as postgres://egret:…@localhost:5432/egret",
      EGRET_NATS_URL: "must be an address such as nats://localhost:4222, or several separated by commas",
      EGRET_SECRET_KEY: expect.stringContaining("openssl rand -base64 32"),
      EGRET_HTTP_PORT: "must be a whole number from 0 to 65535",
      EGRET_LOG_LEVEL: expect.stringContaining("must be one of trace, debug"),
      EGRET_ALLOW_HTTP: "must be true or false",
      EGRET_WORKER_CONCURRENCY: "must be a whole number from 1 to 10000",
      EGRET_STREAM_PREFIX: expect.stringContaining("must be a letter"),
      EGRET_OTLP_ENDPOINT: "must be an address such as http://localhost:4318",
      EGRET_TRACE_SHARE: "must be a share from 0 to 1, such as 0.05",
    });
    expect(JSON.stringify(problems)).not.toContain("hunter2");
  });

  test("show in a start-up line only whether secrets are set", () => {
    const env = {
      EGRET_DATABASE_URL: "postgres://u:hunter2@db/egret",
      EGRET_SECRET_KEY: key,
      EGRET_OTLP_ENDPOINT: "https://u:hunter2@collector",
    };
    const shown = redactedConfig(readConfig(env));
    expect(shown).toMatchObject({
      database: "set",
      nats: "not set",
      secretKeys: "set",
      otlpEndpoint: "set",
      httpPort: 4747,
    });
    expect(JSON.stringify(shown)).not.toContain("hunter2");
    expect(JSON.stringify(shown)).not.toContain(key);
  });

  test("show of the proxy only that there is one, since its address may hold a password", () => {
    const env = {
      EGRET_OUTBOUND_PROXY: "http://u:hunter2@proxy:3128",
      EGRET_OUTBOUND_CA_FILE: "/etc/ca.pem",
    };
    const shown = redactedConfig(readConfig(env));
    expect(shown).toMatchObject({ outboundProxy: "set", outboundCaFile: "/etc/ca.pem" });
    expect(JSON.stringify(shown)).not.toContain("hunter2");
    expect(redactedConfig(readConfig({}))).toMatchObject({
      outboundProxy: "not set",
      outboundCaFile: "not set",
    });
    expect(problemsOf({ EGRET_OUTBOUND_PROXY: "socks5://u:hunter2@proxy" })).toEqual({
      EGRET_OUTBOUND_PROXY: "must be an address such as http://proxy.example:3128",
    });
  });

  test("explain each variable", () => {
    const variables = configVariables();
    expect(variables.map(({ name }) => name)).toContain("EGRET_STREAM_MAX_BYTES");
    for (const { name, help } of variables) {
      expect(name).toMatch(/^EGRET_[A-Z_]+$/);
      expect(help.length).toBeGreaterThan(10);
    }
    expect(variables.find(({ name }) => name === "EGRET_HTTP_PORT")?.fallback).toBe("4747");
    expect(variables.find(({ name }) => name === "EGRET_SECRET_KEY")?.fallback).toBeNull();
  });
});
