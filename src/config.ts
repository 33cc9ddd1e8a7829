/** Egret's own settings: the only reader of process.env, one schema with the default and the help text of each variable. */
import { z } from "zod";

const WHOLE_NUMBER = /^\d{1,15}$/;

/** A whole number within bounds, written as digits. */
function whole(min: number, max: number, fallback: number) {
  return z
    .string()
    .default(String(fallback))
    .refine((text) => WHOLE_NUMBER.test(text) && Number(text) >= min && Number(text) <= max, {
      error: `must be a whole number from ${min} to ${max}`,
    })
    .transform(Number);
}

function address(protocols: readonly string[], example: string) {
  return z
    .string()
    .refine((text) => protocols.includes(URL.parse(text)?.protocol ?? ""), {
      error: `must be an address such as ${example}`,
    })
    .optional();
}

const isKey = (text: string): boolean =>
  /^[A-Za-z0-9+/]+={0,2}$/.test(text) && Buffer.from(text, "base64").length === 32;

const VARIABLES = z.object({
  EGRET_URL: address(["http:", "https:"], "https://egret.example").describe(
    "a server whose API commands work with, instead of with Postgres and NATS: `egret login` explains",
  ),
  EGRET_TOKEN: z
    .string()
    .optional()
    .describe("token for that server's API; not set: what `egret login` keeps"),
  EGRET_DATABASE_URL: address(
    ["postgres:", "postgresql:"],
    "postgres://egret:…@localhost:5432/egret",
  ).describe("Egret's own Postgres; not set: `egret demo` and development start one"),
  EGRET_NATS_URL: z
    .string()
    .refine(
      (text) =>
        text.split(",").every((part) => /^(nats|tls|wss?):$/.test(URL.parse(part.trim())?.protocol ?? "")),
      {
        error: "must be an address such as nats://localhost:4222, or several separated by commas",
      },
    )
    .optional()
    .describe("nats-server with JetStream, 2.12 or newer; not set: one is found or fetched and started"),
  EGRET_SECRET_KEY: z
    .string()
    .transform((text) => text.split(",").map((key) => key.trim()))
    .refine((keys) => keys.every(isKey), {
      error:
        "must be 32 bytes of base64, made with: openssl rand -base64 32 (to rotate: new key, comma, old key)",
    })
    .optional()
    .describe(
      "encrypts stored secrets: base64 of 32 bytes; several with commas between, the first writes and all read",
    ),
  EGRET_STREAM_PREFIX: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,31}$/i, {
      error: "must be a letter, then up to 31 letters, digits or underscores",
    })
    .default("egret")
    .describe("begins every stream name and subject, so that installations can share a nats-server"),
  EGRET_HTTP_HOST: z
    .string()
    .min(1, { error: "must not be empty" })
    .default("127.0.0.1")
    .describe("address to listen on, for health, metrics and the API"),
  EGRET_HTTP_PORT: whole(0, 65_535, 4747).describe("port to listen on; 0 lets the system choose"),
  EGRET_PUBLIC_URL: address(["http:", "https:"], "https://egret.example").describe(
    "where people reach Egret, for links in alerts; not set: http://EGRET_HTTP_HOST:EGRET_HTTP_PORT",
  ),
  EGRET_LOG_LEVEL: z
    .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"], {
      error: "must be one of trace, debug, info, warn, error, fatal, silent",
    })
    .default("info")
    .describe("least severe log line that is written"),
  EGRET_DIR: z
    .string()
    .min(1, { error: "must not be empty" })
    .default(".egret")
    .describe("folder of the Postgres and nats-server that Egret starts for development"),
  EGRET_ALLOW_HTTP: z
    .enum(["true", "false", "1", "0"], { error: "must be true or false" })
    .default("false")
    .transform((text) => text === "true" || text === "1")
    .describe(
      "let webhooks have http:// endpoints, and all targets loopback ones; development servers do anyway",
    ),
  EGRET_OUTBOUND_ALLOW: z
    .string()
    .default("")
    .transform((text) =>
      text
        .split(",")
        .map((block) => block.trim())
        .filter((block) => block !== ""),
    )
    .describe(
      "private or special addresses that targets may have, such as 10.0.0.0/8; commas between several",
    ),
  EGRET_OUTBOUND_PROXY: address(["http:", "https:"], "http://proxy.example:3128").describe(
    "CONNECT proxy for all requests to targets, with user:password@ before its host where it asks for them",
  ),
  EGRET_OUTBOUND_CA_FILE: z
    .string()
    .optional()
    .describe("file of PEM certificates of authorities that targets may have besides the usual ones"),
  EGRET_DELIVERY_RETENTION_DAYS: whole(1, 36_500, 30).describe(
    "days that delivery events stay in the log, and deliveries in Postgres",
  ),
  EGRET_EXCHANGE_RETENTION_DAYS: whole(0, 36_500, 14).describe(
    "days that headers and bodies of requests to targets are kept; 0 keeps none",
  ),
  EGRET_RECORD_RETENTION_DAYS: whole(0, 36_500, 14).describe(
    "days that rows of runs are kept as they were sent or set aside, for `egret records`; 0 keeps none",
  ),
  EGRET_WORKER_CONCURRENCY: whole(1, 10_000, 100).describe(
    "runs and deliveries that one worker process holds at once",
  ),
  EGRET_API_SYNC_CREATED_STATUS: z
    .enum(["200", "201"], { error: "must be 200 or 201" })
    .default("200")
    .transform((text) => (text === "201" ? 201 : 200))
    .describe(
      "HTTP status of the API's answer to a created sync: clients differ in which of both they ask for",
    ),
  EGRET_API_RATE_LIMIT: whole(0, 100_000, 20).describe(
    "requests that one token of the API may make per second, in each process; 0 for as many as it likes",
  ),
  EGRET_RUNS_PER_WORKSPACE: whole(1, 10_000, 8).describe(
    "runs of one workspace that work at the same time, over all processes; others wait their turn",
  ),
  EGRET_STREAM_MAX_BYTES: whole(1_048_576, 2 ** 50 - 1, 4 * 2 ** 30).describe(
    "size at which each stream stops accepting, bytes; nothing old is ever dropped to make room",
  ),
  // Not the standard's OTEL_EXPORTER_OTLP_ENDPOINT: set for other programs, it would switch this on unasked.
  EGRET_OTLP_ENDPOINT: address(["http:", "https:"], "http://localhost:4318").describe(
    "collector for traces, by OTLP over HTTP; not set: none are made, and a traceparent is only handed on",
  ),
  EGRET_TRACE_SHARE: z
    .string()
    .default("1")
    .refine((text) => /^(0|1|0?\.\d+|[01]\.0*)$/.test(text), {
      error: "must be a share from 0 to 1, such as 0.05",
    })
    .transform(Number)
    .describe(
      "share of the traces beginning in Egret that is kept; others are kept as their callers keep them",
    ),
});

/** Settings of this process. Addresses may carry passwords: show `redactedConfig`, never this. */
export interface Config {
  /** Of the server whose API commands are to use. */
  remoteUrl: string | null;
  remoteToken: string | null;
  databaseUrl: string | null;
  natsUrl: string | null;
  /** Base64, the first one writes; empty when not set. */
  secretKeys: readonly string[];
  streamPrefix: string;
  httpHost: string;
  httpPort: number;
  publicUrl: string | null;
  logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  dir: string;
  allowHttp: boolean;
  outboundAllow: readonly string[];
  /** May hold a password. */
  outboundProxy: string | null;
  outboundCaFile: string | null;
  deliveryRetentionDays: number;
  exchangeRetentionDays: number;
  recordRetentionDays: number;
  workerConcurrency: number;
  apiRequestsPerSecond: number;
  apiSyncCreatedStatus: 200 | 201;
  runsPerWorkspace: number;
  streamMaxBytes: number;
  /** May hold a password. */
  otlpEndpoint: string | null;
  /** 0 to 1. */
  traceShare: number;
}

/**
 * Settings that cannot be used: one problem per variable, with the fix, never with the value. Shaped like InvalidInput,
 * from which it does not inherit because this file imports nothing of ours.
 */
export class InvalidConfig extends Error {
  readonly code = "INVALID_INPUT";
  readonly problems: readonly { field: string; message: string }[];
  constructor(problems: readonly { field: string; message: string }[]) {
    super(problems.map((problem) => `${problem.field} ${problem.message}`).join("\n"));
    this.name = "InvalidConfig";
    this.problems = problems;
  }
}

/** Everything in the environment, for `${NAME}` in egret.yaml. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/**
 * Reads the settings; an empty variable counts as not set.
 * @throws InvalidConfig naming every variable that is wrong, and its fix.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>> = environment()): Config {
  const given = Object.entries(env).filter(([, value]) => value !== undefined && value !== "");
  const parsed = VARIABLES.safeParse(Object.fromEntries(given));
  if (!parsed.success) {
    throw new InvalidConfig(
      parsed.error.issues.map((issue) => ({ field: String(issue.path[0]), message: issue.message })),
    );
  }
  const values = parsed.data;
  return {
    remoteUrl: values.EGRET_URL ?? null,
    remoteToken: values.EGRET_TOKEN ?? null,
    databaseUrl: values.EGRET_DATABASE_URL ?? null,
    natsUrl: values.EGRET_NATS_URL ?? null,
    secretKeys: values.EGRET_SECRET_KEY ?? [],
    streamPrefix: values.EGRET_STREAM_PREFIX,
    httpHost: values.EGRET_HTTP_HOST,
    httpPort: values.EGRET_HTTP_PORT,
    publicUrl: values.EGRET_PUBLIC_URL ?? null,
    logLevel: values.EGRET_LOG_LEVEL,
    dir: values.EGRET_DIR,
    allowHttp: values.EGRET_ALLOW_HTTP,
    outboundAllow: values.EGRET_OUTBOUND_ALLOW,
    outboundProxy: values.EGRET_OUTBOUND_PROXY ?? null,
    outboundCaFile: values.EGRET_OUTBOUND_CA_FILE ?? null,
    deliveryRetentionDays: values.EGRET_DELIVERY_RETENTION_DAYS,
    exchangeRetentionDays: values.EGRET_EXCHANGE_RETENTION_DAYS,
    recordRetentionDays: values.EGRET_RECORD_RETENTION_DAYS,
    workerConcurrency: values.EGRET_WORKER_CONCURRENCY,
    apiRequestsPerSecond: values.EGRET_API_RATE_LIMIT,
    apiSyncCreatedStatus: values.EGRET_API_SYNC_CREATED_STATUS,
    runsPerWorkspace: values.EGRET_RUNS_PER_WORKSPACE,
    streamMaxBytes: values.EGRET_STREAM_MAX_BYTES,
    otlpEndpoint: values.EGRET_OTLP_ENDPOINT ?? null,
    traceShare: values.EGRET_TRACE_SHARE,
  };
}

/** One variable as `--help`, doctor and the README list it. */
export interface ConfigVariable {
  name: string;
  help: string;
  /** What holds when it is not set; null when nothing does. */
  fallback: string | null;
}

/** All variables, in the order of their listing. */
export function configVariables(): ConfigVariable[] {
  const schema = z.toJSONSchema(VARIABLES, { io: "input", unrepresentable: "any" });
  return Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const { description, default: fallback } = property as { description?: string; default?: string };
    return { name, help: description ?? "", fallback: fallback ?? null };
  });
}

/** The settings as a start-up log line may show them: what can hold a secret only as `set` or `not set`. */
export function redactedConfig(config: Config): Record<string, string | number | boolean> {
  const {
    // Of commands, not of the server that logs its settings.
    remoteUrl: _url,
    remoteToken: _token,
    databaseUrl,
    natsUrl,
    secretKeys,
    outboundAllow,
    outboundProxy,
    outboundCaFile,
    otlpEndpoint,
    publicUrl,
    ...open
  } = config;
  return {
    database: shown(databaseUrl !== null),
    nats: shown(natsUrl !== null),
    secretKeys: shown(secretKeys.length > 0),
    ...open,
    outboundAllow: outboundAllow.join(","),
    outboundProxy: shown(outboundProxy !== null),
    outboundCaFile: outboundCaFile ?? "not set",
    publicUrl: publicUrl ?? "not set",
    otlpEndpoint: shown(otlpEndpoint !== null),
  };
}

function shown(isSet: boolean): string {
  return isSet ? "set" : "not set";
}
