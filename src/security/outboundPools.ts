/** The pools of connections to targets: one that all share, and one per distinct TLS setting that an endpoint has. */
import { readFileSync } from "node:fs";
import type { Dispatcher } from "undici";
import type { EndpointTls } from "../domain/configuration.ts";
import { InvalidInput } from "../domain/errors.ts";
import { readCertificates } from "./endpointTls.ts";
import { createGuardedAgent, type GuardedAgentOptions } from "./outboundGuard.ts";
import { installationPolicy } from "./outboundPolicy.ts";
import { type OutboundProxy, parseProxy } from "./proxyTunnel.ts";

/** What a whole installation may call, and by which way. */
export interface OutboundSettings {
  /** Whether targets may be on this machine itself: for development. */
  allowHttp: boolean;
  /** Private or special address blocks that targets may have. */
  outboundAllow: readonly string[];
  /** EGRET_OUTBOUND_PROXY: may hold a password. */
  outboundProxy?: string | null;
  /** EGRET_OUTBOUND_CA_FILE. */
  outboundCaFile?: string | null;
}

/** The pools of one process. */
export interface OutboundPools {
  /** For endpoints without TLS settings of their own. */
  dispatcher: Dispatcher;
  /** For an endpoint with its own; ask anew for each request, since a pool that nobody asks for is closed. */
  dispatcherFor(tls: EndpointTls): Dispatcher;
  /** Waits for the requests under way. */
  close(): Promise<void>;
}

/** Distinct TLS settings that have a pool at once; the one not asked for longest makes room. */
const MAX_POOLS = 64;
/** A pool that nobody asked for is closed after this, ms; its connections have closed long before. */
const IDLE_MS = 300_000;

interface Pool {
  agent: ReturnType<typeof createGuardedAgent>;
  usedAt: number;
}

/** How pools are opened; the clock and the resolver are for tests. */
export interface PoolOptions extends Pick<GuardedAgentOptions, "connections" | "lookup"> {
  now?: () => number;
}

/**
 * Reads what the settings name, and opens nothing.
 * @throws InvalidInput naming the setting that cannot be used, and the fix.
 */
export function readOutbound(
  settings: OutboundSettings,
): Pick<GuardedAgentOptions, "policy"> & { ca: string | null; proxy: OutboundProxy | null } {
  const { outboundProxy = null, outboundCaFile = null } = settings;
  return {
    policy: installationPolicy(settings),
    ca: outboundCaFile === null ? null : readAuthorities(outboundCaFile),
    proxy: outboundProxy === null ? null : parseProxy(outboundProxy),
  };
}

/**
 * Opens the pools of an installation.
 * @throws InvalidInput naming the setting that cannot be used, and the fix.
 */
export function openOutboundPools(settings: OutboundSettings, options: PoolOptions): OutboundPools {
  const { now = Date.now, ...pooling } = options;
  const { ca, ...outbound } = readOutbound(settings);
  const common = { ...pooling, ...outbound };
  const shared = createGuardedAgent({ ...common, ca });
  const own = new OwnPools((tls) => {
    const { ca: ownCa, client_certificate: certificate, client_key: key } = tls;
    const authorities = [ca, ownCa ?? null].filter((pem) => pem !== null).join("\n");
    return createGuardedAgent({
      ...common,
      ca: authorities === "" ? null : authorities,
      clientCertificate: certificate === undefined || key === undefined ? null : { certificate, key },
    });
  }, now);
  return {
    dispatcher: shared,
    dispatcherFor: (tls) => own.get(tls),
    close: async () => void (await Promise.all([shared.close(), own.close()])),
  };
}

/** Pools by what their connections are made of. A pool that is let go of ends its requests before it closes. */
class OwnPools {
  readonly #open: (tls: EndpointTls) => Pool["agent"];
  readonly #now: () => number;
  /** Oldest use first. */
  readonly #pools = new Map<string, Pool>();
  /** Joining PEM texts for each request would cost more than sending it: settings that were read once stay one object. */
  readonly #keys = new WeakMap<EndpointTls, string>();
  readonly #closing = new Set<Promise<void>>();

  constructor(open: (tls: EndpointTls) => Pool["agent"], now: () => number) {
    this.#open = open;
    this.#now = now;
  }

  get(tls: EndpointTls): Dispatcher {
    const key = this.#keyOf(tls);
    const pool = this.#pools.get(key) ?? { agent: this.#open(tls), usedAt: 0 };
    pool.usedAt = this.#now();
    this.#pools.delete(key);
    this.#pools.set(key, pool);
    this.#closeUnused(pool.usedAt - IDLE_MS);
    return pool.agent;
  }

  async close(): Promise<void> {
    for (const key of this.#pools.keys()) this.#letGo(key);
    await Promise.all(this.#closing);
  }

  #keyOf(tls: EndpointTls): string {
    const known = this.#keys.get(tls);
    if (known !== undefined) return known;
    const key = JSON.stringify([tls.ca, tls.client_certificate, tls.client_key]);
    this.#keys.set(tls, key);
    return key;
  }

  #closeUnused(before: number): void {
    for (const [key, { usedAt }] of this.#pools) {
      if (usedAt >= before && this.#pools.size <= MAX_POOLS) return;
      this.#letGo(key);
    }
  }

  #letGo(key: string): void {
    const pool = this.#pools.get(key);
    if (pool === undefined) return;
    this.#pools.delete(key);
    const closing: Promise<void> = pool.agent.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}

const CA_SETTING = "EGRET_OUTBOUND_CA_FILE";

/** @throws InvalidInput naming the setting and the fix. */
function readAuthorities(path: string): string {
  let pem: string;
  try {
    pem = readFileSync(path, "utf8");
  } catch (error) {
    const { code = "unknown" } = error as NodeJS.ErrnoException;
    const message = `${CA_SETTING} names ${path}, which cannot be read (${code}); name a readable file of PEM certificates`;
    throw new InvalidInput(message, [], { cause: error });
  }
  if (readCertificates(pem) !== null) return pem;
  throw new InvalidInput(
    `${CA_SETTING} names ${path}, which is no list of PEM certificates; each begins with -----BEGIN CERTIFICATE-----`,
  );
}
