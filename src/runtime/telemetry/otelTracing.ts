/** Tracing by OpenTelemetry, exported over OTLP/HTTP as JSON; loaded only where an endpoint is configured. */
import { hostname } from "node:os";
import {
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  type IdGenerator,
  ParentBasedSampler,
  RandomIdGenerator,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { Logger } from "pino";
import { formatTraceparent, parseTraceparent } from "../../domain/traceparent.ts";
import { attemptFacts, deliveryFacts, errorOf } from "../deliveries/attemptSpan.ts";
import type { AttemptSpan, OpenSpan, SpanFacts, Tracing } from "./tracing.ts";

export interface TracingOptions {
  /** Base address of a collector; `v1/traces` is added. */
  endpoint: string;
  /** Share of the traces beginning here that are kept, 0 to 1; a trace that began elsewhere is kept when it was there. */
  share: number;
  version: string;
  logger: Logger;
}

/** Spans that wait for their export at most: about 10 MB. What comes on top is dropped (I10). */
const MAX_WAITING_SPANS = 8_192;
const EXPORT_EVERY_MS = 1_000;
/** A collector that does not answer for so long has lost the batch; also how long a closing process waits for it. */
const EXPORT_TIMEOUT_MS = 5_000;

/** Random ids, unless the next one was given out before its span is made. */
class Ids implements IdGenerator {
  readonly #random = new RandomIdGenerator();
  next: string | null = null;

  generateTraceId(): string {
    return this.#random.generateTraceId();
  }

  generateSpanId(): string {
    const id = this.next ?? this.#random.generateSpanId();
    this.next = null;
    return id;
  }
}

/** Starts exporting. The standard `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` hold. */
export function openTracing({ endpoint, share, version, logger }: TracingOptions): Tracing {
  const url = new URL("v1/traces", endpoint.endsWith("/") ? endpoint : `${endpoint}/`).href;
  const exporter = telling(new OTLPTraceExporter({ url, timeoutMillis: EXPORT_TIMEOUT_MS }), logger);
  const own = { "service.name": "egret", "service.version": version, "service.instance.id": instance() };
  const ids = new Ids();
  const provider = new TracerProvider({
    idGenerator: ids,
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(share) }),
    resource: defaultResource()
      .merge(resourceFromAttributes(own))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: MAX_WAITING_SPANS,
        scheduledDelayMillis: EXPORT_EVERY_MS,
        exportTimeoutMillis: EXPORT_TIMEOUT_MS,
      }),
    ],
  });
  return new OtelTracing(provider, ids, version);
}

const instance = (): string => `${hostname()}/${process.pid}`;

class OtelTracing implements Tracing {
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;
  readonly #ids: Ids;

  constructor(provider: TracerProvider, ids: Ids, version: string) {
    this.#provider = provider;
    this.#tracer = provider.getTracer("egret", version);
    this.#ids = ids;
  }

  command(
    parent: string | undefined,
    { subject, id, bytes }: { subject: string; id: string; bytes: number },
  ): OpenSpan {
    return this.#open("process sync.trigger", parent, SpanKind.CONSUMER, {
      ...processing,
      "messaging.destination.name": subject,
      "messaging.message.id": id,
      "messaging.message.body.size": bytes,
    });
  }

  run(
    parent: string | undefined,
    ids: { workspace_id: number; sync_id: number; sync_run_id: number },
  ): OpenSpan {
    return this.#open("sync run", parent, SpanKind.CONSUMER, {
      ...processing,
      "egret.workspace.id": ids.workspace_id,
      "egret.sync.id": ids.sync_id,
      "egret.run.id": ids.sync_run_id,
    });
  }

  step(parent: string | undefined, effect: string): OpenSpan {
    return this.#open(`run ${effect}`, parent, SpanKind.INTERNAL, {});
  }

  delivery(parent: string | undefined, data: Parameters<Tracing["delivery"]>[1]): OpenSpan {
    return this.#open("send delivery", parent, SpanKind.PRODUCER, {
      "messaging.system": "nats",
      "messaging.operation.name": "publish",
      "messaging.operation.type": "send",
      "messaging.message.id": data.delivery_id,
      ...deliveryFacts(data),
    });
  }

  /** The span is made when the attempt has ended: so one that made no request leaves none, and it begins with the request. */
  attempt(...[parent, pending, attempt]: Parameters<Tracing["attempt"]>): AttemptSpan {
    const context = parseTraceparent(parent);
    if (context === null) return { end: () => undefined };
    const spanId = this.#ids.generateSpanId();
    let request: { method: string; url: string } | null = null;
    return {
      traceparent: formatTraceparent({ ...context, spanId }),
      sending: (sent) => {
        request = sent;
      },
      end: ({ outcome, state }) => {
        if (outcome.kind === "dropped" || !context.isSampled) return;
        const startTime = outcome.startedAt.getTime();
        const facts = attemptFacts({ pending, attempt, request, outcome, state });
        this.#ids.next = spanId;
        const span = this.#tracer.startSpan(
          request?.method ?? "POST",
          { kind: SpanKind.CLIENT, startTime, attributes: facts },
          contextOf(parent),
        );
        if (outcome.kind !== "accepted") fail(span, errorOf(outcome), outcome.error);
        span.end(startTime + outcome.durationMs);
      },
    };
  }

  async close(): Promise<void> {
    // What a collector that is away never gets is no reason to end badly; that it is away stands in the log.
    await this.#provider.shutdown().catch(() => undefined);
  }

  #open(name: string, parent: string | undefined, kind: SpanKind, attributes: SpanFacts): OpenSpan {
    const span = this.#tracer.startSpan(name, { kind, attributes }, contextOf(parent));
    const { traceId, spanId, traceFlags } = span.spanContext();
    return {
      traceparent: formatTraceparent({ traceId, spanId, isSampled: (traceFlags & 1) === 1 }),
      end: ({ error, facts } = {}) => {
        if (facts !== undefined) span.setAttributes(facts);
        if (error !== undefined) fail(span, error);
        span.end();
      },
    };
  }
}

const processing: SpanFacts = {
  "messaging.system": "nats",
  "messaging.operation.name": "process",
  "messaging.operation.type": "process",
};

function fail(span: Span, error: string, message?: string): void {
  span.setAttribute("error.type", error);
  span.setStatus({ code: SpanStatusCode.ERROR, ...(message === undefined ? {} : { message }) });
}

function contextOf(parent: string | undefined): Context {
  const context = parseTraceparent(parent);
  if (context === null) return ROOT_CONTEXT;
  const { traceId, spanId, isSampled } = context;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: isSampled ? 1 : 0,
    isRemote: true,
  });
}

/** Says once that spans are lost, and once that they arrive again; without the reason's text, which may quote anything. */
function telling(inner: SpanExporter, logger: Logger): SpanExporter {
  let isLosing = false;
  return {
    export(spans, done) {
      inner.export(spans, (result) => {
        const isLost = result.error !== undefined;
        if (isLost && !isLosing) {
          const code = (result.error as { code?: unknown }).code ?? result.error?.name;
          logger.warn({ code, spans: spans.length }, "tracing.export_failed");
        }
        if (!isLost && isLosing) logger.info("tracing.export_works_again");
        isLosing = isLost;
        done(result);
      });
    },
    forceFlush: async () => inner.forceFlush?.(),
    shutdown: () => inner.shutdown(),
  };
}
