/** A CONNECT proxy on the loopback interface that keeps what it was asked for, and refuses on demand. */
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";

/** One request for a tunnel. */
export interface TunnelRequest {
  /** Address and port that the tunnel is to lead to. */
  to: string;
  headers: IncomingHttpHeaders;
}

/** A running proxy. */
export interface ConnectProxy {
  port: number;
  requests: readonly TunnelRequest[];
  /** Changes how the next requests are answered: a status to refuse with, "hang" for no answer, null to open. */
  behave(answer: (request: TunnelRequest, number: number) => number | "hang" | null): void;
  close(): Promise<void>;
}

/** Starts a proxy on a port that the system chooses; by TLS with a certificate. */
export async function startConnectProxy(certificate?: { cert: string; key: string }): Promise<ConnectProxy> {
  const requests: TunnelRequest[] = [];
  const sockets = new Set<Socket>();
  let answerOf: (request: TunnelRequest, number: number) => number | "hang" | null = () => null;
  const server: Server = certificate === undefined ? createServer() : createTlsServer(certificate);
  server.on("connect", (incoming, client: Socket) => {
    const request = { to: incoming.url ?? "", headers: incoming.headers };
    requests.push(request);
    sockets.add(client.on("error", () => undefined));
    const answer = answerOf(request, requests.length);
    if (answer === "hang") return;
    if (answer !== null) {
      client.end(`HTTP/1.1 ${answer} No\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    const { hostname, port } = new URL(`http://${request.to}`);
    const target = connect({ host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) }, () => {
      client.write("HTTP/1.1 200 Open\r\n\r\n");
      target.pipe(client).pipe(target);
    });
    sockets.add(target.on("error", () => client.destroy()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    behave(next) {
      answerOf = next;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}
