/** A connection through the operator's CONNECT proxy, to an address that was vetted here and not to a name. */
import { request as sendRequest } from "node:http";
import { connect as connectPlain, isIP, isIPv6, type Socket } from "node:net";
import { connect as connectTls, type SecureContext } from "node:tls";
import { AppError, InvalidInput } from "../domain/errors.ts";

/** The setting that messages name. */
export const PROXY_SETTING = "EGRET_OUTBOUND_PROXY";

/** Where the proxy is. */
export interface OutboundProxy {
  isTls: boolean;
  host: string;
  port: number;
  /** Value of Proxy-Authorization, a secret; null without credentials. */
  authorization: string | null;
}

/** The proxy did not open the way. The message may be shown to anyone: it names neither proxy nor target. */
export class ProxyFailed extends AppError {
  /** The status of the proxy's answer; null without one. */
  readonly httpStatus: number | null;
  constructor(message: string, httpStatus: number | null, options: { cause?: unknown } = {}) {
    super("EGRET_PROXY_FAILED", message, options);
    this.httpStatus = httpStatus;
  }
}

/**
 * Reads a proxy's address, `http://user:password@host:port`.
 * @throws InvalidInput naming the setting and the fix, never the address, which may hold a password.
 */
export function parseProxy(text: string): OutboundProxy {
  const url = URL.parse(text);
  const isTls = url?.protocol === "https:";
  const isProxy = url !== null && (isTls || url.protocol === "http:") && url.hostname !== "";
  if (!isProxy || url.pathname !== "/" || url.search !== "" || url.hash !== "") {
    throw new InvalidInput(
      `${PROXY_SETTING} is not the address of a proxy; write one such as http://proxy.example:3128, without a path`,
    );
  }
  const { username, password } = url;
  return {
    isTls,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (isTls ? 443 : 80) : Number(url.port),
    authorization: username === "" && password === "" ? null : basic(username, password),
  };
}

function basic(username: string, password: string): string {
  try {
    const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(pair, "utf8").toString("base64")}`;
  } catch (error) {
    const message = `the user or the password in ${PROXY_SETTING} holds a % that stands for nothing; write it as %25`;
    throw new InvalidInput(message, [], { cause: error });
  }
}

/** Where a tunnel leads, and how long opening it may take. */
export interface TunnelWanted {
  address: string;
  port: number;
  timeoutMs: number;
  /** For a proxy that is itself reached by TLS. */
  secureContext: SecureContext;
}

/**
 * Opens a tunnel.
 * @throws ProxyFailed saying what the proxy did.
 */
export function openTunnel(proxy: OutboundProxy, wanted: TunnelWanted): Promise<Socket> {
  const { address, port, timeoutMs, secureContext } = wanted;
  const authority = `${isIPv6(address) ? `[${address}]` : address}:${port}`;
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const request = sendRequest({
    method: "CONNECT",
    path: authority,
    headers: {
      host: authority,
      ...(proxy.authorization === null ? {} : { "proxy-authorization": proxy.authorization }),
    },
    createConnection: () => connectTo(proxy, secureContext),
  });
  const timer = setTimeout(() => {
    reject(new ProxyFailed("the proxy opened no connection in time", null));
    request.destroy();
  }, timeoutMs);
  request.once("connect", ({ statusCode = 0 }, socket, head) => {
    clearTimeout(timer);
    if (statusCode >= 200 && statusCode < 300) {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
      return;
    }
    // What the proxy says beside its status is not read.
    socket.on("error", () => undefined).destroy();
    reject(new ProxyFailed(refusal(statusCode), statusCode));
  });
  request.on("error", (error) => {
    clearTimeout(timer);
    reject(new ProxyFailed("the proxy could not be reached", null, { cause: error }));
  });
  request.end();
  return promise;
}

function connectTo({ isTls, host, port }: OutboundProxy, secureContext: SecureContext): Socket {
  if (!isTls) return connectPlain({ host, port });
  return connectTls({ host, port, secureContext, ...(isIP(host) === 0 ? { servername: host } : {}) });
}

function refusal(status: number): string {
  if (status === 407) return `the proxy wants other credentials (HTTP 407); see ${PROXY_SETTING}`;
  return `the proxy did not open the connection (HTTP ${status})`;
}
